"""Splits a database URL into its parts, and refuses what it does not know. Neighbours: `postgres.py`, `mysql.py`.

Not `urllib.parse.urlsplit`: that silently removes newlines and tabs from a URL.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from stockade.core.secrets import hide_password

CONNECT_WAIT_S = 5.0  # a connection is made within this time, unless the URL or the caller sets another bound
MAX_CONNECT_TIMEOUT_S = 300.0
_UNPRINTABLE = re.compile(r"[\s\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True, repr=False)
class UrlParts:
    """The parts of a URL; all but `place` are percent-decoded.

    Attributes:
        user: None where the URL has none.
        password: None where the URL has none.
        place: host and port as they are written; several with commas between.
        database: empty where the URL names none.
        parameters: of the query; the values of a repeated one are joined by commas.
    """

    user: str | None
    password: str | None
    place: str
    database: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What the URLs of one kind of database may say.

    Attributes:
        example: a URL of this kind.
        schemes: what may stand before `://`, without `+driver`.
        parameters: names in the query.
        repeated: those of them that may be repeated.
        hints: other name -> what to write instead.
    """

    example: str
    schemes: Collection[str]
    parameters: Collection[str]
    repeated: Collection[str]
    hints: Mapping[str, str]


def split_url(text: str, words: Vocabulary) -> UrlParts:
    """Take a URL apart.

    Args:
        text: `scheme[+driver]://[user[:password]@][place][/database][?name=value[&name=value…]]`.
        words: what it may say.

    Raises:
        ValueError: it is no such URL; one line, without the password.
    """
    shown = f"{hide_password(text)!r}"
    if _UNPRINTABLE.search(text):
        raise ValueError(f"a blank, a tab or a line break stands in the URL {shown}: remove it, or write %20")
    scheme, separator, rest = text.partition("://")
    if not separator or scheme.partition("+")[0] not in words.schemes:
        raise ValueError(f"not a URL of this database: {shown}; expected e.g. {words.example}")
    if "#" in rest:
        raise ValueError(f"a '#' stands in the URL {shown}: write it as %23")
    before, _, query = rest.partition("?")
    place_part, _, database = before.partition("/")
    user_part, at, place = place_part.rpartition("@")
    if "@" in database:
        raise ValueError(f"a '/' or '?' stands before the '@' in {shown}: in a password write %2F, %3F and %40")
    user, colon, password = user_part.partition(":")
    parts = UrlParts(
        user=unquote(user) if user else None,
        password=unquote(password) if at and colon else None,
        place=place,
        database=unquote(database),
        parameters=_parameters(query, words),
    )
    if "\0" in "".join([parts.user or "", parts.password or "", parts.database, *parts.parameters.values()]):
        raise ValueError(f"%00 stands in the URL {shown}: no database takes that")
    return parts


def _parameters(query: str, words: Vocabulary) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in filter(None, query.split("&")):
        name, equals, value = item.partition("=")
        name, value = unquote(name), unquote(value)
        if name not in words.parameters and "@" in query:  # the name may be a part of a password
            raise ValueError("an unknown URL parameter, or a '?' or '@' in a password: there write %3F and %40")
        if name not in words.parameters:
            raise ValueError(_unknown(name, words))
        if not equals or not value:
            raise ValueError(f"URL parameter {name!r} has no value")
        if name in found:
            if name not in words.repeated:
                raise ValueError(f"URL parameter {name!r} is given twice")
            value = f"{found[name]},{value}"
        found[name] = value
    return found


def _unknown(name: str, words: Vocabulary) -> str:
    plain = name.lower().replace("-", "_")
    hint = words.hints.get(plain) or (plain if plain in words.parameters else None)
    said = f"; write {hint}" if hint else f"; these work: {', '.join(sorted(words.parameters))}"
    return f"unknown URL parameter {hide_password(name)!r}{said}"


def seconds(parameters: Mapping[str, str], name: str) -> float | None:
    """A duration in seconds, or None where it is not given.

    Raises:
        ValueError: not a number, or out of range.
    """
    text = parameters.get(name)
    if text is None:
        return None
    wrong = ValueError(f"{name}={text}: must be a number of seconds above 0, at most {MAX_CONNECT_TIMEOUT_S:g}")
    try:
        value = float(text)
    except ValueError:
        raise wrong from None
    if not 0 < value <= MAX_CONNECT_TIMEOUT_S:
        raise wrong
    return value


def port_number(text: str) -> int:
    """A TCP port.

    Raises:
        ValueError: not a number from 1 to 65535.
    """
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65_536):
        # not quoted: it is a password where `@host` was forgotten
        raise ValueError("the port must be a number from 1 to 65535 (is the host missing, as in user:password@host?)")
    return int(text)


def host_and_port(text: str) -> tuple[str, int | None]:
    """`host`, `host:port`, `[IPv6]:port`, or the folder of a unix socket.

    Raises:
        ValueError: the port is not a number, or a bracket is missing.
    """
    text = text.strip()
    if text.startswith("/"):
        return text, None
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f"not an IPv6 address in brackets: {text!r}")
        return host, port_number(rest[1:]) if rest else None
    host, colon, port = text.partition(":")
    return host, port_number(port) if colon else None
