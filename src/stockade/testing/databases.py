"""An empty database for one test, with the schema of an application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from stockade.core import Busy, NotSupported
from stockade.core.secrets import hide_password
from stockade.devservers import drop_database
from stockade.devservers import fresh_database as create_database
from stockade.drivers.failures import Failure, classify, describe
from stockade.service import Application
from stockade.store import Database

RIGHTS = "the user needs CREATEDB on PostgreSQL, all rights on the server of MariaDB or MySQL"


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
        NotSupported: its user may not create databases; or its driver is missing, and the message names the extra.
    """
    own = not url.startswith("sqlite")
    made = await _created(url) if own else url
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


async def _created(url: str) -> str:
    """The URL of a new database on a server.

    Raises:
        Busy, NotSupported: as `fresh_database`.
    """
    try:
        return await create_database(url)
    except Exception as error:
        kind, text = classify(error), f"{hide_password(url)}: {describe(error)}"
        if kind is Failure.LOST:
            raise Busy(text, "DEPENDENCY_DOWN") from error
        if kind is Failure.REFUSED:
            raise NotSupported(f"{text}; each test makes a database of its own: {RIGHTS}") from error
        raise
