"""Hides passwords in what is printed: error messages, logs and `repr`.

Every message that quotes a URL passes it through `hide_password` first. Neighbours: everything that reads a URL.
"""

import re

_HIDDEN = "***"
_PARAMETER = re.compile(
    r"((?:^|[?&;\s])(?:[a-z_]*pass(?:word|wd)?|[a-z_]*secret|[a-z_]*token)=)[^&;#\s]*", re.IGNORECASE
)

# `user:password/name`, where the host was forgotten; in a sentence, a colon before a blank is none
_NO_HOST = re.compile(r"^([^/?#:\[\s]*):(?!\d*(?:[/?#,\s]|$))[^/?#\s][^/?#]*")
_NO_HOST_HERE = re.compile(r"^([^/?#:\[\s]*):(?!\d*(?:[/?#,\s]|$))[^/?#\s]+")


def hide_password(url: str) -> str:
    """The URL, or the list of URLs, without passwords; text that is no URL is treated as one.

    What lies between the first colon of the user part and the last `@` is hidden, and the values of query parameters
    that carry secrets, also between blanks (`host=h password=p`). A password with an unescaped `@`, `/` or `:` is
    hidden as a whole. Without an `@`, what follows the first colon is hidden unless it is a port.

    Args:
        url: any text that a user gave as a URL, also a malformed one.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "", url
    user_part, at, place = rest.rpartition("@")
    user, colon, _ = user_part.partition(":")
    if at and colon:
        hidden = f"{user}:{_HIDDEN}{at}{place}"
    else:
        hidden = (_NO_HOST if separator else _NO_HOST_HERE).sub(rf"\g<1>:{_HIDDEN}", rest)
    return _PARAMETER.sub(rf"\g<1>{_HIDDEN}", f"{scheme}{separator}{hidden}")
