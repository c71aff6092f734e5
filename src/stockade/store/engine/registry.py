"""Every kind of database by the beginning of its URL. Adding one is one folder and one row here."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from sqlalchemy.engine import URL

from stockade.core import NotSupported
from stockade.core.secrets import hide_password
from stockade.store.engine.address import DatabaseAddress
from stockade.store.engine.backends import DatabaseBackend
from stockade.store.mysql import connect as mysql
from stockade.store.mysql import url as mysql_url
from stockade.store.postgres import connect as postgres
from stockade.store.postgres import url as postgres_url
from stockade.store.sqlite import connect as sqlite
from stockade.store.sqlite import url as sqlite_url


class DatabaseKind(NamedTuple):
    """A kind of database.

    Attributes:
        read_url: reads its URLs.
        connect: opens its connections, given the address, how many are for transactions, and the longest wait for a row
            lock in seconds; returns the URL, which may name another kind, and the connections.
        extra: of this package, which brings its driver.
    """

    read_url: Callable[[str], DatabaseAddress]
    connect: Callable[[DatabaseAddress, int, float], Awaitable[tuple[URL, DatabaseBackend]]]
    extra: str


_POSTGRES = DatabaseKind(postgres_url.read_url, postgres.connect, "postgres")
_MYSQL = DatabaseKind(mysql_url.read_url, mysql.connect, "mysql")

DATABASES: dict[str, DatabaseKind] = {
    "sqlite": DatabaseKind(sqlite_url.read_url, sqlite.connect, "shop"),
    "postgres": _POSTGRES,
    "postgresql": _POSTGRES,
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
}


def read_url(text: str) -> DatabaseAddress:
    """Read the URL of a database.

    Args:
        text: `sqlite://` (memory, one process), `sqlite:///file`, `postgresql://…`, `mariadb://…` or `mysql://…`.

    Raises:
        ValueError: not a URL, a database that is not supported, or a parameter that cannot be used; one line that says
            what is possible, without the password.
    """
    return _kind_of(text).read_url(text)


async def connect(text: str, pool_size: int, wait_s: float) -> tuple[URL, DatabaseBackend]:
    """Connect to the database of a URL.

    Args:
        text: the URL.
        pool_size: connections for transactions.
        wait_s: the longest wait for one row lock, in seconds.

    Raises:
        ValueError: as `read_url`.
        NotSupported: its driver is not installed.
    """
    kind = _kind_of(text)
    target = kind.read_url(text)
    try:
        return await kind.connect(target, pool_size, wait_s)
    except ModuleNotFoundError as error:
        name = target.url.get_backend_name()
        raise NotSupported(f"the driver for {name} is missing: pip install 'stockade[{kind.extra}]'") from error


def _kind_of(text: str) -> DatabaseKind:
    family = text.partition("://")[0].partition("+")[0]
    if "://" not in text:
        raise ValueError(f"not a database URL: {hide_password(text)!r}; expected e.g. postgresql://user@host/name")
    if family not in DATABASES:
        raise ValueError(f"unknown database {family!r}; supported: sqlite, postgresql, mariadb, mysql")
    return DATABASES[family]
