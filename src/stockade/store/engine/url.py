"""Database URLs as people write them -> what SQLAlchemy's dialects need, and the address of the server.

Neighbour: `stockade.drivers`, which reads the URLs of servers. SQLAlchemy sees no parameter of theirs.
"""

from typing import NamedTuple

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from stockade.core.secrets import hide_password
from stockade.drivers.mysql import MySQLAddress
from stockade.drivers.postgres import PostgresAddress

DRIVERS = {
    "sqlite": "sqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "mysql": "mysql+asyncmy",
    "mariadb": "mariadb+asyncmy",
}
Address = PostgresAddress | MySQLAddress


class Place(NamedTuple):
    """Where a database is.

    Attributes:
        url: with SQLAlchemy's driver and with the password, without parameters.
        address: of its server; None for SQLite.
    """

    url: URL
    address: Address | None


def read_url(text: str) -> Place:
    """Read the URL of a database.

    Args:
        text: `sqlite://` (memory, one process), `sqlite:///file`, `postgresql://…`, `mariadb://…` or `mysql://…`.
            The parameters that work: `stockade.drivers.postgres`, `stockade.drivers.mysql`.

    Raises:
        ValueError: not a URL, a database that is not supported, or a parameter that cannot be used; one line that says
            what is possible, without the password.
    """
    family = text.partition("://")[0].partition("+")[0]
    if "://" not in text:
        raise ValueError(f"not a database URL: {hide_password(text)!r}; expected e.g. postgresql://user@host/name")
    if family not in DRIVERS:
        raise ValueError(f"unknown database {family!r}; supported: sqlite, postgresql, mariadb, mysql")
    if family == "sqlite":
        return Place(_sqlite(text), None)
    if family in ("mysql", "mariadb"):
        mysql = MySQLAddress.parse(text)
        if mysql.database is None:
            raise ValueError(f"{hide_password(text)!r} names no database: write {family}://user@host/name")
        return Place(_url(DRIVERS[family], mysql, mysql.host, mysql.port), mysql)
    postgres = PostgresAddress.parse(text)
    host, port = postgres.hosts[0] if postgres.hosts else (None, None)
    return Place(_url(DRIVERS[family], postgres, host, port), postgres)


def _url(drivername: str, address: Address, host: str | None, port: int | None) -> URL:
    return URL.create(drivername, address.user, address.password, host, port, address.database)


def _sqlite(text: str) -> URL:
    try:
        url = make_url(text)
    except ArgumentError:
        raise ValueError(f"not a database URL: {text!r}; expected sqlite:///file") from None
    if url.query:
        raise ValueError(f"unknown URL parameter {next(iter(url.query))!r}: the URL of a SQLite file takes none")
    if url.host or url.username:
        raise ValueError(f"{hide_password(text)!r} names a host: a file is sqlite:///file, or sqlite:////folder/file")
    return url.set(drivername=DRIVERS["sqlite"])
