"""An empty database for one test, with the schema of an application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from stockade.devservers import drop_database
from stockade.devservers import fresh_database as create_database
from stockade.service import Application
from stockade.store import Database


@asynccontextmanager
async def fresh_database(
    application: Application, url: str = "sqlite://", *, pool_size: int = 8
) -> AsyncIterator[Database]:
    """An open database with the tables of an application, made by its migrations; closed and removed at the end.

    Args:
        application: whose `schema` and `tables` it gets.
        url: `sqlite://` is a database in memory, `sqlite:///FILE` a file that stays. The URL of a PostgreSQL, MariaDB
            or MySQL server makes a new database there; its user must be allowed to create databases.
        pool_size: connections for transactions.

    Raises:
        Busy: the server cannot be reached.
        NotSupported: its driver is missing; the message names the extra.
    """
    own = not url.startswith("sqlite")
    made = await create_database(url) if own else url
    try:
        database = await Database.open(made, pool_size=pool_size, tables=application.tables)
        try:
            await application.schema.migrate(database)
            yield database
        finally:
            await database.close()
    finally:
        if own:
            await drop_database(url, made)
