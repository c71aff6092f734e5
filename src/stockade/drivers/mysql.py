"""The address of a MariaDB or MySQL server: a URL, and a connection through asyncmy.

The parameters have the names and meanings of MySQL's own (manual, 6.2.3 "Command Options for Connecting").
Neighbours: `store.mysql.connect` and `locks.database.mysql` connect with it.
"""

import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from stockade.core.secrets import hide_password
from stockade.drivers.failures import ConnectFailed, reaching
from stockade.drivers.timely_loop import TimelyLoop
from stockade.drivers.tls import TlsFiles, load_files
from stockade.drivers.url import CONNECT_WAIT_S, UrlParts, Vocabulary, host_and_port, seconds, split_url

SSL_MODES = ("DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY")
DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 3306
CHARSET = "utf8mb4"  # every other loses letters
_TLS = ("ssl_mode", "ssl_ca", "ssl_cert", "ssl_key")
_OFFERS_TLS = 0x800  # CLIENT_SSL among the capabilities of the greeting
_WORDS = Vocabulary(
    example="mariadb://user@host/name",
    schemes=("mysql", "mariadb"),
    parameters=(*_TLS, "unix_socket", "connect_timeout", "charset"),
    repeated=(),
    hints={
        "ssl": "ssl_mode=REQUIRED",
        "tls": "ssl_mode=REQUIRED",
        "sslmode": "ssl_mode",
        "sslrootcert": "ssl_ca",
        "sslcert": "ssl_cert",
        "sslkey": "ssl_key",
        "ssl_verify_cert": "ssl_mode=VERIFY_CA",
        "ssl_check_hostname": "ssl_mode=VERIFY_IDENTITY",
        "socket": "unix_socket",
        "timeout": "connect_timeout",
    },
)


@dataclass(frozen=True, slots=True, repr=False)
class MySQLAddress:
    """The address of a MariaDB or MySQL server, and the user.

    Attributes:
        url: as the user wrote it, with its password.
        host: name or address; also what a certificate is compared with.
        port: of TCP.
        unix_socket: path of its socket, which then is used instead of TCP; or None.
        user: None: the name of the operating system's user.
        password: None: without one.
        database: None: no default database.
        ssl_mode: one of `SSL_MODES`.
        context: for TLS, None under DISABLED.
        connect_timeout_s: longest time to connect in seconds, greeting and handshake included.
        authorities: file of those to trust, for messages; empty: the machine's own.
    """

    url: str
    host: str
    port: int
    unix_socket: str | None
    user: str | None
    password: str | None
    database: str | None
    ssl_mode: str
    context: ssl.SSLContext | None
    connect_timeout_s: float
    authorities: str = ""

    def __repr__(self) -> str:
        return f"MySQLAddress({hide_password(self.url)!r})"

    __str__ = __repr__

    @classmethod
    def parse(cls, url: str, *, connect_wait_s: float = CONNECT_WAIT_S) -> "MySQLAddress":
        """Read a URL.

        Args:
            url: `mariadb://user:password@host:port/database?parameter=value`; `mysql://` and `+driver` are the same.
            connect_wait_s: longest time to connect in seconds, where the URL has no `connect_timeout`.

        Raises:
            ValueError: it cannot be used; one line that names what is wrong, without the password.
        """
        parts = split_url(url, _WORDS)
        given = parts.parameters
        if given.get("charset", CHARSET) != CHARSET:
            raise ValueError(f"charset={given['charset']}: must be {CHARSET}, or left out")
        host, port = host_and_port(unquote(parts.place))
        if "," in parts.place or host.startswith("/"):
            raise ValueError("the URL must name one host; a unix socket is ?unix_socket=/path")
        mode = _mode(parts)
        return cls(
            url=url,
            host=host or DEFAULT_HOST,
            port=port or DEFAULT_PORT,
            unix_socket=given.get("unix_socket"),
            user=parts.user,
            password=parts.password,
            database=parts.database or None,
            ssl_mode=mode,
            context=_context(parts, mode),
            connect_timeout_s=seconds(given, "connect_timeout") or connect_wait_s,
            authorities=given.get("ssl_ca", ""),
        )

    def options(self) -> dict[str, Any]:
        """Keyword arguments for `asyncmy.connect`; PREFERRED is REQUIRED here, only `connect` can choose."""
        return {
            "host": self.host,
            "port": self.port,
            **({"unix_socket": self.unix_socket} if self.unix_socket else {}),
            **({"user": self.user} if self.user else {}),
            "password": (self.password or "").encode(),  # asyncmy writes a text in Latin-1
            "database": self.database,
            "charset": CHARSET,
            "ssl": self.context,
            "connect_timeout": self.connect_timeout_s,
        }

    async def connect(self, *, timeout_s: float | None = None, **more: Any) -> Any:
        """A connection, with TLS as `ssl_mode` says.

        asyncmy bounds the TCP connection only; a server that does not greet would hold it for ever.

        Args:
            timeout_s: longest time in seconds; the address's own bound where it is less or this is None.
            more: further arguments of `asyncmy.connect`.

        Raises:
            ConnectFailed, AccessRefused: see `stockade.drivers.failures.reaching`.
        """
        options = {**self.options(), **more}
        limit_s = min(self.connect_timeout_s, timeout_s or self.connect_timeout_s)
        async with reaching("MariaDB or MySQL", self.place, limit_s, self.authorities):
            connection = _unconnected(options, limit_s)
            try:
                await connection.connect()
            except Exception as error:
                offered = getattr(connection, "server_capabilities", _OFFERS_TLS) & _OFFERS_TLS
                if self.context is None or offered:
                    raise
                if self.ssl_mode != "PREFERRED":
                    raise ConnectFailed(f"ssl_mode={self.ssl_mode}, and the server offers no TLS") from error
                connection = _unconnected({**options, "ssl": None}, limit_s)
                await connection.connect()
            return connection

    @property
    def place(self) -> str:
        """Host and port, or the path of the socket, for messages."""
        return self.unix_socket or f"{self.host}:{self.port}"


def abort(connection: Any) -> None:
    """Close the socket of a connection of asyncmy at once: its own `close` waits until what was written is sent."""
    transport = connection._transport  # noqa: SLF001 - asyncmy has no public way to it
    if transport is not None:
        transport.abort()
    connection.close()


def _unconnected(options: dict[str, Any], limit_s: float) -> Any:
    """asyncmy's connection, before it connects: `asyncmy.connect` does not show what the greeting offered."""
    import asyncmy.connection

    make: Any = asyncmy.connection.Connection
    connection = make(**options)
    connection._loop = TimelyLoop(limit_s)  # noqa: SLF001 - asyncmy has no parameter for it
    return connection


def _mode(parts: UrlParts) -> str:
    """As MySQL's own clients: certificates of authorities alone mean VERIFY_CA; nothing means what it always meant
    here, a plain connection."""
    given = parts.parameters
    secret = "ssl_cert" in given or "ssl_key" in given
    implied = "VERIFY_CA" if "ssl_ca" in given else "REQUIRED" if secret else "DISABLED"
    mode = given.get("ssl_mode", implied).upper()
    if mode not in SSL_MODES:
        raise ValueError(f"ssl_mode={given['ssl_mode']}: must be one of {', '.join(SSL_MODES)}")
    useless = [name for name in ("ssl_ca", "ssl_cert", "ssl_key") if name in given]
    if mode == "DISABLED" and useless:
        raise ValueError(f"{useless[0]} has no effect without TLS: leave out ssl_mode=DISABLED, or {useless[0]}")
    if "ssl_ca" in given and mode == "PREFERRED":
        raise ValueError("ssl_ca has no effect under ssl_mode=PREFERRED: use VERIFY_CA or VERIFY_IDENTITY")
    if mode == "VERIFY_CA" and "ssl_ca" not in given:
        raise ValueError("ssl_mode=VERIFY_CA needs ssl_ca=FILE, the certificate of the authority to trust")
    return "VERIFY_CA" if "ssl_ca" in given and mode == "REQUIRED" else mode  # as libpq: a file that is given is used


def _context(parts: UrlParts, mode: str) -> ssl.SSLContext | None:
    if mode == "DISABLED":
        return None
    context = ssl.create_default_context() if mode == "VERIFY_IDENTITY" and "ssl_ca" not in parts.parameters else None
    context = context or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = mode == "VERIFY_IDENTITY"
    context.verify_mode = ssl.CERT_REQUIRED if mode.startswith("VERIFY") else ssl.CERT_NONE
    load_files(context, parts.parameters, TlsFiles("ssl_ca", "ssl_cert", "ssl_key"))
    return context
