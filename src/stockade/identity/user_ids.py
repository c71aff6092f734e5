"""The user id of a subject: the name under which a user stands in rows, paths, keys of messages and names of locks.

A provider may name a user with up to 255 characters of any kind (OpenID Connect Core 1.0, 2). Columns of ids hold 64,
and a `/` or a control character cannot stand in every place. So an ordinary subject is its own id, and any other one
is replaced by its hash. Neighbour: `verifier`.
"""

import re
import unicodedata
from base64 import urlsafe_b64encode
from hashlib import sha256

MAX_SUBJECT = 255
PREFIX = "sha256:"
_HASHED = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}\Z")
_ORDINARY = re.compile(rf"(?!{PREFIX}|\.{{1,2}}\Z)[A-Za-z0-9._:@|+=~-]{{1,64}}\Z")
_NO_TEXT = ("Cc", "Cs")  # Unicode's categories of control characters and of halves of surrogate pairs


def user_id_of(subject: str) -> str:
    """The user id of a subject; the same for every call, and different for different subjects.

    A subject of 1 to 64 letters, digits and any of `. _ : - @ | + = ~` is its own id, except `.`, `..` and what begins
    with `sha256:`. The id of any other one is `sha256:` and the base64url form, without padding, of the SHA-256 of its
    UTF-8 form: 50 characters.

    Args:
        subject: as the provider issued it. Its characters are compared one by one, without regard to what looks alike.

    Raises:
        ValueError: it is empty, has more than 255 characters, or holds a control character.
    """
    if _ORDINARY.match(subject):
        return subject
    if not 1 <= len(subject) <= MAX_SUBJECT:
        raise ValueError(f"a user is named by 1 to {MAX_SUBJECT} characters, not {len(subject)}")
    if any(unicodedata.category(character) in _NO_TEXT for character in subject):
        raise ValueError("a user's name holds a control character")
    return PREFIX + urlsafe_b64encode(sha256(subject.encode()).digest()).rstrip(b"=").decode()


def addressed_user_id(text: str) -> str:
    """The user id that a client means: an id as the service shows it, or a subject.

    Raises:
        ValueError: as `user_id_of`.
    """
    return text if _HASHED.match(text) else user_id_of(text)
