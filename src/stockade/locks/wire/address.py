"""Where a Redis server is and what is said first on a new connection."""

import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit

from stockade.locks.errors import missing


@dataclass(frozen=True, slots=True)
class Address:
    """A server as a URL names it: `redis://user:password@host:6379/0`, `rediss://…` (TLS), `unix:///path?db=0`."""

    host: str = "127.0.0.1"
    port: int = 6379
    path: str = ""
    db: int = 0
    username: str = ""
    password: str = ""
    tls: ssl.SSLContext | None = None

    @classmethod
    def parse(cls, url: str) -> "Address":
        """The address that `url` names.

        Raises:
            ValueError: it is no Redis URL.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("redis", "rediss", "unix"):
            raise ValueError(f"not a Redis URL: {url!r}; expected redis://, rediss:// or unix://")
        query = parse_qs(parts.query)
        db = query.get("db", [parts.path.strip("/") if parts.scheme != "unix" else ""])[0]
        return cls(
            parts.hostname or "127.0.0.1",
            parts.port or 6379,
            unquote(parts.path) if parts.scheme == "unix" else "",
            int(db or 0),
            unquote(parts.username or ""),
            unquote(parts.password or ""),
            ssl.create_default_context() if parts.scheme == "rediss" else None,
        )

    @property
    def where(self) -> str:
        """The server for error messages: no password in it."""
        return self.path or f"{self.host}:{self.port}"

    def greeting(self, name: str) -> list[tuple[str | int, ...]]:
        """Commands for a fresh connection: who we are, which database, what `CLIENT LIST` shows."""
        commands: list[tuple[str | int, ...]] = []
        if self.password:
            commands.append(("AUTH", self.username, self.password) if self.username else ("AUTH", self.password))
        if self.db:
            commands.append(("SELECT", self.db))
        commands.append(("CLIENT", "SETNAME", name))
        return commands


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
