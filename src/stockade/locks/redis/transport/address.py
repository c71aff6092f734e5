"""The address of a Redis server, and the greeting of a new connection. Neighbour: `tls.py` (certificates)."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit, urlunsplit

from stockade.core.secrets import hide_password
from stockade.locks.errors import missing
from stockade.locks.redis.transport.tls import TLS_PARAMETERS, tls_context

_SCHEMES = ("redis", "rediss", "unix")
_LOGIN = ("username", "password", "db")
_DEFAULT_PORT = 6379


@dataclass(frozen=True, slots=True)
class Address:
    """A server as a URL names it: `redis://user:password@host:6379/0`, `rediss://…` (TLS), `unix:///path?db=0`."""

    host: str = "127.0.0.1"
    port: int = _DEFAULT_PORT
    path: str = ""
    db: int = 0
    username: str = ""
    password: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = None

    @classmethod
    def parse(cls, url: str) -> "Address":
        """The address that `url` names.

        Query parameters: `username`, `password`, `db`; with `rediss://` also `ssl_ca_certs`, `ssl_certfile`,
        `ssl_keyfile` (paths), `ssl_cert_reqs` (none, optional, required) and `ssl_check_hostname` (true, false).

        Raises:
            ValueError: it is no Redis URL, or has an unknown or unusable parameter. The message is one line
                without the password.
        """
        try:
            return cls._parse(url)
        except _BadUrl as error:
            raise ValueError(f"not a Redis URL that can be used: {_shown(url)}: {error}") from None

    @classmethod
    def _parse(cls, url: str) -> "Address":
        if any(sign.isspace() or not sign.isprintable() for sign in url):
            raise _BadUrl("it contains a space, a line break or another sign that must be percent-encoded")
        parts = _split(url)
        if parts.scheme not in _SCHEMES:
            raise _BadUrl("expected redis://, rediss:// or unix://")
        if parts.fragment or (parts.scheme != "unix" and "@" in parts.path):
            raise _BadUrl("in a password `/`, `?`, `#` and `@` must be written %2F, %3F, %23 and %40")
        given = _parameters(parts)
        name = parts.path.strip("/") if parts.scheme != "unix" else ""
        if parts.scheme == "unix" and not parts.path:
            raise _BadUrl("expected unix:///path of the socket")
        return cls(
            parts.hostname or "127.0.0.1",
            _port(parts),
            unquote(parts.path) if parts.scheme == "unix" else "",
            _database(given.get("db", name)),
            given.get("username", unquote(parts.username or "")),
            given.get("password", unquote(parts.password or "")),
            _tls(given) if parts.scheme == "rediss" else None,
        )

    @property
    def where(self) -> str:
        """The server for error messages: no password in it."""
        return self.path or f"{self.host}:{self.port}"

    def greeting(self, name: str) -> list[tuple[str | int, ...]]:
        """Commands for a fresh connection: the login, the database, the name in `CLIENT LIST`."""
        commands: list[tuple[str | int, ...]] = []
        if self.password or self.username:
            commands.append(("AUTH", self.username, self.password) if self.username else ("AUTH", self.password))
        if self.db:
            commands.append(("SELECT", self.db))
        commands.append(("CLIENT", "SETNAME", name))
        return commands


class _BadUrl(Exception):
    """The reason why a URL cannot be used."""


def _shown(url: str) -> str:
    return repr(hide_password(url.strip()))


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:  # e.g. a bracket of an IPv6 address that is not closed
        raise _BadUrl("its host cannot be read") from error


def _port(parts: SplitResult) -> int:
    try:
        return parts.port or _DEFAULT_PORT
    except ValueError:
        raise _BadUrl("its port is no number from 1 to 65535") from None


def _database(text: str) -> int:
    if text and not (text.isascii() and text.isdigit()):
        raise _BadUrl("its database must be a number such as 0")
    return int(text or 0)


def _parameters(parts: SplitResult) -> Mapping[str, str]:
    """The query's parameters: each is known, and stands there once."""
    known = (*_LOGIN, *TLS_PARAMETERS) if parts.scheme == "rediss" else _LOGIN
    given: dict[str, str] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name in TLS_PARAMETERS and name not in known:
            raise _BadUrl(f"the parameter {name!r} needs rediss://")
        if name not in known:
            shown = repr(name) if "@" not in parts.query else "in it"  # with an `@` it may be the rest of a password
            raise _BadUrl(f"unknown parameter {shown}; known are {', '.join(known)}")
        if name in given:
            raise _BadUrl(f"the parameter {name!r} stands there twice")
        given[name] = value
    return given


def _tls(given: Mapping[str, str]) -> ssl.SSLContext:
    try:
        return tls_context({name: value for name, value in given.items() if name in TLS_PARAMETERS})
    except ValueError as error:
        raise _BadUrl(str(error)) from None


def at_other_node(url: str, host: str, port: int) -> str:
    """The same user, password and TLS at another node of a cluster; an empty host is the one of `url`."""
    parts = urlsplit(url)
    user = parts.netloc.rpartition("@")[0]
    name = host or parts.hostname or "127.0.0.1"
    where = f"{f'[{name}]' if ':' in name else name}:{port}"
    return urlunsplit(parts._replace(netloc=f"{user}@{where}" if user else where))


def load_hiredis() -> Any:
    """The parser.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import hiredis
    except ImportError as error:
        raise missing("redis", "hiredis") from error
    return hiredis
