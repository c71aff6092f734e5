"""The database of a run: a temporary SQLite file, a private server, or a database that the user names by URL.

A private server is durable (it flushes each commit to disk), as in production. In a database named by URL the lab only
adds: the schema by migrations, and rows whose ids begin with `lab-`. It deletes nothing there.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from stockade.core import NotSupported, StockadeError
from stockade.devservers import ServerFailed, Servers, ServerUnavailable
from stockade.devservers.workdir import WorkDir
from stockade.drivers.failures import AccessRefused
from stockade.lab.errors import LabError
from stockade.service import Application
from stockade.shop.application import APPLICATION
from stockade.store import Database
from stockade.store.engine.registry import read_url

SQLITE, PRIVATE = "sqlite", ("postgres", "mariadb")
ADMIN_POOL = 2
RAM_FOLDER = Path("/dev/shm")  # noqa: S108 - the folder made in it is private
FREE_BYTES = 500_000_000


@dataclass(frozen=True, slots=True)
class TargetDatabase:
    """An open database.

    Attributes:
        url: for the order senders.
        admin_database: the runner's own connections, to prepare and to read; no order uses them.
        private: whether the lab created it, so that it contains nothing else.
        application: whose tables it has.
    """

    url: str
    admin_database: Database
    private: bool
    application: Application = APPLICATION

    @property
    def name(self) -> str:
        """`sqlite`, `postgres`, `mariadb` or `mysql`."""
        return self.admin_database.dialect.name


@asynccontextmanager
async def open_target_database(
    database: str, connections: int, application: Application = APPLICATION
) -> AsyncIterator[TargetDatabase]:
    """Open the database that a name or a URL means; what was created for it is removed at the end.

    Args:
        database: `sqlite`, `postgres`, `mariadb`, or a URL.
        connections: how many the order senders will open in total.
        application: whose tables it gets.

    Raises:
        LabError: it cannot be opened; the message says why.
    """
    if database == SQLITE:
        workdir = WorkDir(sqlite_base())
        try:
            async with _opened(f"sqlite:///{workdir.path / 'lab.db'}", application, private=True) as target:
                yield target
        finally:
            workdir.close()
    elif database in PRIVATE:
        with Servers() as servers:
            url = await asyncio.to_thread(_start, servers, database, connections)
            async with _opened(url, application, private=True) as target:
                yield target
    else:
        _check_url(database)
        async with _opened(database, application, private=False) as target:
            yield target


def sqlite_base() -> Path:
    """The folder of the SQLite file: in RAM if the system has such a folder, unless TMPDIR names another one."""
    # on a disk that other programs use, the run would compare how long each commit waited for them
    usable = "TMPDIR" not in os.environ and os.access(RAM_FOLDER, os.W_OK)
    if usable and shutil.disk_usage(RAM_FOLDER).free >= FREE_BYTES:
        return RAM_FOLDER
    return Path(tempfile.gettempdir())


def _start(servers: Servers, kind: str, connections: int) -> str:
    limit = connections + ADMIN_POOL * 2 + 20  # some for the server's own use and for readers
    try:
        start = servers.postgres if kind == "postgres" else servers.mariadb
        return start(durable=True, max_connections=limit).url
    except (ServerUnavailable, ServerFailed) as error:
        raise LabError(str(error)) from error


def _check_url(text: str) -> None:
    try:
        url = read_url(text).url
    except ValueError as error:
        raise LabError(f"--database takes sqlite, postgres, mariadb or a URL: {error}") from error
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        raise LabError("a database in memory cannot be shared with the lab: name a file, e.g. sqlite:////tmp/lab.db")


def open_private_database(
    url: str, application: Application = APPLICATION
) -> AbstractAsyncContextManager[TargetDatabase]:
    """Open a database that has nothing in it yet, and make the application's tables.

    Args:
        url: of the database; whoever made it removes it.
        application: whose tables it gets.
    """
    return _opened(url, application, private=True)


@asynccontextmanager
async def _opened(url: str, application: Application, *, private: bool) -> AsyncIterator[TargetDatabase]:
    try:
        admin = await Database.open(url, pool_size=ADMIN_POOL, tables=application.tables)
    except (NotSupported, StockadeError, AccessRefused) as error:
        raise LabError(f"the database cannot be opened: {error}") from error
    try:
        if private:
            await application.schema.create_all(admin)
        elif not await application.schema.is_current(admin):
            await application.schema.migrate(admin)
        yield TargetDatabase(url, admin, private, application)
    finally:
        await admin.close()
