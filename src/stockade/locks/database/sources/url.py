"""Connections of the provider's own, made from a URL."""

from typing import Any

from stockade.drivers import mysql
from stockade.drivers.postgres import PostgresAddress


class PostgresUrl:
    """A PostgreSQL server by URL, through asyncpg.

    Args:
        url: of the database.
        patience_s: a connection is made within so many seconds, unless the URL's `connect_timeout` is less.

    Raises:
        ValueError: the URL cannot be used.
    """

    given = False
    size: int | None = None

    def __init__(self, url: str, patience_s: float) -> None:
        self._address = PostgresAddress.parse(url, connect_wait_s=patience_s)
        self.place = self._address.place
        self.application = dict(self._address.settings).get("application_name", "")

    async def connect(self, timeout_s: float) -> Any:
        return await self._address.connect(timeout_s=timeout_s)

    async def give_back(self, connection: Any) -> None:
        self.discard(connection)

    def discard(self, connection: Any) -> None:
        connection.terminate()


class MySQLUrl:
    """A MySQL or MariaDB server by URL, through asyncmy. Arguments and errors are those of `PostgresUrl`."""

    given = False
    size: int | None = None
    application = ""

    def __init__(self, url: str, patience_s: float) -> None:
        self._address = mysql.MySQLAddress.parse(url, connect_wait_s=patience_s)
        self.place = self._address.place

    async def connect(self, timeout_s: float) -> Any:
        return await self._address.connect(timeout_s=timeout_s, autocommit=True)

    async def give_back(self, connection: Any) -> None:
        self.discard(connection)

    def discard(self, connection: Any) -> None:
        mysql.abort(connection)
