"""The address of a PostgreSQL server: a URL as libpq reads it, and a connection through asyncpg.

TLS, unix sockets and their defaults are asyncpg's, which follow libpq (PostgreSQL manual, 34.1.2 and 34.19).
Neighbours: `store.postgres` and `locks.postgres` connect with it.
"""

import asyncio
import os
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlencode

from stockade.core.secrets import hide_password
from stockade.drivers.failures import AccessRefused, ConnectFailed, reaching
from stockade.drivers.timely_loop import TimelyLoop
from stockade.drivers.tls import TlsFiles, load_files
from stockade.drivers.url import (
    CONNECT_WAIT_S,
    UrlParts,
    Vocabulary,
    host_and_port,
    port_number,
    seconds,
    split_url,
)

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
SESSION_KINDS = ("any", "primary", "standby", "prefer-standby", "read-write", "read-only")
DEFAULT_PORT = 5432
_TLS = ("sslmode", "sslrootcert", "sslcert", "sslkey")
_PLACE = ("host", "port", "user", "password", "dbname")
_OTHERS = ("connect_timeout", "application_name", "options", "target_session_attrs")
_VERIFYING = ("require", "verify-ca", "verify-full")
_WORDS = Vocabulary(
    example="postgresql://user@host/name",
    schemes=("postgresql", "postgres"),
    parameters=(*_TLS, *_PLACE, *_OTHERS),
    repeated=("host", "port"),
    hints={
        "ssl": "sslmode=require",
        "ssl_mode": "sslmode",
        "ssl_ca": "sslrootcert",
        "ssl_cert": "sslcert",
        "ssl_key": "sslkey",
        "database": "dbname",
        "username": "user",
        "timeout": "connect_timeout",
        "unix_socket": "host=/folder",
    },
)


@dataclass(frozen=True, slots=True, repr=False)
class PostgresAddress:
    """The address of a PostgreSQL server, and the user.

    Attributes:
        url: as the user wrote it, with its password.
        hosts: (host or folder of a unix socket, port) in the order in which they are tried; empty: asyncpg's default.
        user: None: the name of the operating system's user.
        password: None: PGPASSWORD or the password file, as libpq.
        database: None: named like the user.
        tls: `sslmode`, `sslrootcert`, `sslcert`, `sslkey` as far as the URL has them.
        settings: settings of the session that the URL names: `application_name`, `options`.
        session: `target_session_attrs`, or None.
        connect_timeout_s: longest time to connect in seconds, all hosts together.
    """

    url: str
    hosts: tuple[tuple[str, int], ...]
    user: str | None
    password: str | None
    database: str | None
    tls: tuple[tuple[str, str], ...]
    settings: tuple[tuple[str, str], ...]
    session: str | None
    connect_timeout_s: float

    def __repr__(self) -> str:
        return f"PostgresAddress({hide_password(self.url)!r})"

    __str__ = __repr__

    @classmethod
    def parse(cls, url: str, *, connect_wait_s: float = CONNECT_WAIT_S) -> "PostgresAddress":
        """Read a URL.

        Args:
            url: `postgresql://user:password@host:port,host:port/database?parameter=value`; `postgres://` and
                `postgresql+driver://` are the same.
            connect_wait_s: longest time to connect in seconds, where the URL has no `connect_timeout`.

        Raises:
            ValueError: it cannot be used; one line that names what is wrong, without the password.
        """
        parts = split_url(url, _WORDS)
        given = parts.parameters
        session = given.get("target_session_attrs")
        if session is not None and session not in SESSION_KINDS:
            raise ValueError(f"target_session_attrs={session}: must be one of {', '.join(SESSION_KINDS)}")
        return cls(
            url=url,
            hosts=_hosts(parts),
            user=given.get("user", parts.user),
            password=given.get("password", parts.password),
            database=given.get("dbname", parts.database) or None,
            tls=_tls(parts),
            settings=tuple((name, given[name]) for name in ("application_name", "options") if name in given),
            session=session,
            connect_timeout_s=seconds(given, "connect_timeout") or connect_wait_s,
        )

    def options(self, **settings: str) -> dict[str, Any]:
        """Keyword arguments for `asyncpg.connect`.

        Args:
            settings: settings of the session; those that the URL names come before them.
        """
        hosts = {"host": [host for host, _ in self.hosts], "port": [port for _, port in self.hosts]}
        return {
            **({"dsn": f"postgresql://?{urlencode(self.tls, quote_via=quote)}"} if self.tls else {}),
            **(hosts if self.hosts else {}),
            "user": self.user,
            "password": self.password,
            "database": self.database,
            "target_session_attrs": self.session,
            "server_settings": {**settings, **dict(self.settings)},
            "timeout": self.connect_timeout_s,
        }

    async def connect(self, *, timeout_s: float | None = None, **more: Any) -> Any:
        """A connection to the first host that gives one.

        Each host that is left gets an equal share of the time that is left, so a silent one does not use up all of it.

        Args:
            timeout_s: longest time in seconds; the address's own bound where it is less or this is None.
            more: further arguments of `asyncpg.connect`; `server_settings` are set beside those of the URL.

        Raises:
            ConnectFailed, AccessRefused: see `stockade.drivers.failures.reaching`.
        """
        import asyncpg

        options = {**self.options(**more.pop("server_settings", {})), **more}
        limit_s = min(self.connect_timeout_s, timeout_s or self.connect_timeout_s)
        tls = dict(self.tls)
        authorities = tls.get("sslrootcert") or os.environ.get("PGSSLROOTCERT") or "~/.postgresql/root.crt"
        async with reaching("PostgreSQL", self.place, limit_s, authorities):
            try:
                return await _first(asyncpg, self._each(options), limit_s)
            except ConnectionError as error:
                mode = tls.get("sslmode") or os.environ.get("PGSSLMODE")
                if mode not in _VERIFYING or "rejected SSL upgrade" not in str(error):
                    raise
                said = f"sslmode={mode}, and the server offers no TLS"
                raise ConnectFailed(f"PostgreSQL at {self.place}: {said}") from error

    @property
    def place(self) -> str:
        """The hosts and ports, for messages."""
        return ",".join(f"{host}:{port}" for host, port in self.hosts) or "the default host"

    def _each(self, options: dict[str, Any]) -> list[dict[str, Any]]:
        """The options for one host after the other; `prefer-standby` tries all for a standby, then for any session."""
        one_by_one = [{**options, "host": host, "port": port} for host, port in self.hosts] or [options]
        if self.session != "prefer-standby":
            return one_by_one
        return [{**each, "target_session_attrs": kind} for kind in ("standby", "any") for each in one_by_one]


async def behind_pooler(address: PostgresAddress, settings: Mapping[str, str]) -> bool:
    """Whether a connection pooler (PgBouncer, Odyssey, …) stands before the server, in whatever mode.

    Connects once. A pooler invents the number of the session that it reports to a client, because it sends requests to
    cancel to the right server itself; and it refuses settings at the start of a connection that it does not know.

    Args:
        address: of the server, or of the pooler.
        settings: of the session, that a server takes when a connection starts.

    Raises:
        ConnectFailed, AccessRefused: see `PostgresAddress.connect`.
    """
    try:
        connection = await address.connect(server_settings=settings, statement_cache_size=0)
    except AccessRefused as error:
        if "startup parameter" not in str(error):
            raise
        await (await address.connect(statement_cache_size=0)).close(timeout=CONNECT_WAIT_S)
        return True
    try:
        async with reaching("PostgreSQL", address.place, address.connect_timeout_s), connection.transaction():
            # in a transaction, in which no pooler changes the session
            return bool(await connection.fetchval("SELECT pg_backend_pid()") != connection.get_server_pid())
    finally:
        connection.terminate()


async def _first(asyncpg: Any, attempts: list[dict[str, Any]], limit_s: float) -> Any:
    end, last = time.monotonic() + limit_s, None
    for number, options in enumerate(attempts):
        share_s = (end - time.monotonic()) / (len(attempts) - number)
        try:
            async with asyncio.timeout(share_s):
                return await asyncpg.connect(**{**options, "timeout": limit_s, "loop": TimelyLoop(share_s)})
        except (OSError, asyncpg.CannotConnectNowError, asyncpg.TargetServerAttributeNotMatched) as error:
            last = error  # of these, and of TimeoutError, which is an OSError, libpq tries the next host as well
    assert last is not None
    raise last


def _hosts(parts: UrlParts) -> tuple[tuple[str, int], ...]:
    """As libpq: a host of the query replaces that before the slash."""
    written = parts.parameters.get("host")
    place = written.split(",") if written else [unquote(each) for each in parts.place.split(",") if parts.place]
    places = [host_and_port(each) for each in place]
    if any(not host for host, _ in places):
        raise ValueError("the URL names a port without its host, or an empty host between two commas")
    ports = [port_number(each) for each in parts.parameters["port"].split(",")] if "port" in parts.parameters else []
    if len(ports) > 1 and len(ports) != len(places):
        raise ValueError(f"{len(ports)} ports for {len(places)} hosts: give one port, or one for each host")
    if ports and not places:
        places = [("localhost", None)]
    ports = ports * len(places) if len(ports) == 1 else ports or [_default_port()] * len(places)
    return tuple((host, port or other) for (host, port), other in zip(places, ports, strict=True))


def _default_port() -> int:
    return port_number(os.environ["PGPORT"]) if os.environ.get("PGPORT", "").isdigit() else DEFAULT_PORT


def _tls(parts: UrlParts) -> tuple[tuple[str, str], ...]:
    """The parameters of TLS; every one of them has an effect, or is refused."""
    given = {name: parts.parameters[name] for name in _TLS if name in parts.parameters}
    mode = given.get("sslmode")
    if mode is not None and mode not in SSL_MODES:
        raise ValueError(f"sslmode={mode}: must be one of {', '.join(SSL_MODES)}")
    if "sslrootcert" in given:
        mode = given.setdefault("sslmode", "verify-full")
        if mode not in _VERIFYING:
            raise ValueError(f"sslrootcert has no effect under sslmode={mode}: use verify-ca or verify-full")
    if mode == "disable" and ("sslcert" in given or "sslkey" in given):
        raise ValueError("sslcert and sslkey have no effect under sslmode=disable")
    if mode in ("verify-ca", "verify-full") and not (given.get("sslrootcert") or _own_root()):
        raise ValueError(f"sslmode={mode} needs sslrootcert=FILE, the certificate of the authority to trust")
    load_files(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), given, TlsFiles("sslrootcert", "sslcert", "sslkey"))
    return tuple(given.items())


def _own_root() -> bool:
    """Whether libpq's own places name certificates of authorities."""
    return bool(os.environ.get("PGSSLROOTCERT")) or Path("~/.postgresql/root.crt").expanduser().exists()
