"""Where a run takes place: a temporary SQLite file, a private real server, or a database that the user names.

A private server is durable (it waits for the disk at each commit), because that is what people run. A database named by
URL is only ever added to: its schema by migrations, rows whose ids begin with `lab-`; nothing of it is dropped.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from stockade.core import NotSupported, StockadeError
from stockade.lab.errors import LabError
from stockade.lab.servers import ServerFailed, Servers, ServerUnavailable
from stockade.store import Database
from stockade.store.migrate import create_all, is_current, migrate
from stockade.store.url import parse_url

SQLITE, PRIVATE = "sqlite", ("postgres", "mariadb")
CONTROL_POOL = 2


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
        with tempfile.TemporaryDirectory(prefix="stockade-lab-") as folder:
            async with _opened(f"sqlite:///{Path(folder) / 'lab.db'}", own=True) as ground:
                yield ground
    elif database in PRIVATE:
        with Servers() as servers:
            url = await asyncio.to_thread(_start, servers, database, connections)
            async with _opened(url, own=True) as ground:
                yield ground
    else:
        _check_url(database)
        async with _opened(database, own=False) as ground:
            yield ground


def _start(servers: Servers, kind: str, connections: int) -> str:
    limit = connections + CONTROL_POOL * 2 + 20  # some for the server's own use and for readers
    try:
        start = servers.postgres if kind == "postgres" else servers.mariadb
        return start(durable=True, max_connections=limit).url
    except (ServerUnavailable, ServerFailed) as error:
        raise LabError(str(error)) from error


def _check_url(text: str) -> None:
    try:
        url = parse_url(text)
    except ValueError as error:
        raise LabError(f"--database takes sqlite, postgres, mariadb or a URL: {error}") from error
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        raise LabError("a database in memory cannot be shared with the lab: name a file, e.g. sqlite:////tmp/lab.db")


@asynccontextmanager
async def _opened(url: str, own: bool) -> AsyncIterator[Ground]:
    try:
        control = await Database.open(url, pool_size=CONTROL_POOL)
    except (NotSupported, StockadeError) as error:
        raise LabError(f"the database cannot be opened: {error}") from error
    try:
        if own:
            await create_all(control)
        elif not await is_current(control):
            await migrate(control)
        yield Ground(url, control, own)
    finally:
        await control.close()
