"""Where a database is: what the URLs of every kind are read into."""

from typing import NamedTuple

from sqlalchemy.engine import URL

from stockade.drivers.mysql import MySQLAddress
from stockade.drivers.postgres import PostgresAddress

Address = PostgresAddress | MySQLAddress


class DatabaseAddress(NamedTuple):
    """Where a database is.

    Attributes:
        url: with SQLAlchemy's driver and with the password, without parameters.
        address: of its server; None for SQLite.
    """

    url: URL
    address: Address | None


def database_address(drivername: str, address: Address, host: str | None, port: int | None) -> DatabaseAddress:
    """The address of a database on a server.

    Args:
        drivername: of SQLAlchemy.
        address: as its driver reads it.
        host, port: where the URL names one.
    """
    return DatabaseAddress(
        URL.create(drivername, address.user, address.password, host, port, address.database), address
    )
