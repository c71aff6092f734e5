"""Where a run takes place: a temporary SQLite file, a private real server, or a database that the user names.

A private server is durable (it waits for the disk at each commit), because that is what people run. A database named by
URL is only ever added to: its schema by migrations, rows whose ids begin with `lab-`; nothing of it is dropped.
"""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from stockade.core import NotSupported, StockadeError
from stockade.devservers import ServerFailed, Servers, ServerUnavailable
from stockade.devservers.workdir import Home
from stockade.drivers.failures import AccessRefused
from stockade.lab.errors import LabError
from stockade.shop.migrations import SCHEMA
from stockade.store import Database
from stockade.store.engine.url import read_url

SQLITE, PRIVATE = "sqlite", ("postgres", "mariadb")
CONTROL_POOL = 2
MAKE_WAIT_S = 60.0
MEMORY = Path("/dev/shm")  # noqa: S108 - the folder made in it is private
ROOM_BYTES = 500_000_000


@dataclass(frozen=True, slots=True)
class Ground:
    """An open database to run on.

    Attributes:
        url: for the crews.
        control: the runner's own connections: it prepares and reads, and takes no orders.
        own: whether the lab made it, so that it holds nothing else.
    """

    url: str
    control: Database
    own: bool

    @property
    def name(self) -> str:
        """`sqlite`, `postgres`, `mariadb` or `mysql`."""
        return self.control.dialect.name


@asynccontextmanager
async def open_ground(database: str, connections: int) -> AsyncIterator[Ground]:
    """Open the place that a name or a URL means; what was made for it is removed at the end.

    Args:
        database: `sqlite`, `postgres`, `mariadb`, or a URL.
        connections: how many the crews will open in total.

    Raises:
        LabError: it cannot be had; the message says why.
    """
    if database == SQLITE:
        home = Home(sqlite_base())
        try:
            async with _opened(f"sqlite:///{home.path / 'lab.db'}", own=True) as ground:
                yield ground
        finally:
            home.close()
    elif database in PRIVATE:
        with Servers() as servers:
            url = await asyncio.to_thread(_start, servers, database, connections)
            async with _opened(url, own=True) as ground:
                yield ground
    else:
        _check_url(database)
        async with _opened(database, own=False) as ground:
            yield ground


def sqlite_base() -> Path:
    """Where the SQLite file goes: into memory where the system has a folder for that, unless TMPDIR says otherwise.

    The run compares controls. On a disk that other programs use it would compare how long each commit waited for them.
    """
    if "TMPDIR" not in os.environ and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= ROOM_BYTES:
        return MEMORY
    return Path(tempfile.gettempdir())


def _start(servers: Servers, kind: str, connections: int) -> str:
    limit = connections + CONTROL_POOL * 2 + 20  # some for the server's own use and for readers
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


async def _bring_up_to_date(control: Database) -> None:
    if not await SCHEMA.is_current(control):
        await SCHEMA.migrate(control)


@asynccontextmanager
async def _opened(url: str, own: bool) -> AsyncIterator[Ground]:
    try:
        control = await Database.open(url, pool_size=CONTROL_POOL)
    except (NotSupported, StockadeError, AccessRefused) as error:
        raise LabError(f"the database cannot be opened: {error}") from error
    try:
        if own:
            await control.transaction(SCHEMA.create, deadline=time.monotonic() + MAKE_WAIT_S)
        else:
            await _bring_up_to_date(control)
        yield Ground(url, control, own)
    finally:
        await control.close()
