"""One connection of the deadlock bench: plain statements, one at a time, under the control of the caller.

The store takes all rows in one order and cannot be made to take them otherwise, so the bench speaks SQL itself.
Neighbours: `rows.py` makes the table, `wait_graph.py` asks who waits for whom.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

from stockade.drivers.failures import Failure, classify
from stockade.drivers.mysql import MySQLAddress
from stockade.drivers.postgres import PostgresAddress
from stockade.lab.errors import LabError
from stockade.store.engine.registry import read_url

T = TypeVar("T")
LOCK_WAIT_S = 5.0  # the lock time-out of the Java project's report


class MissingPrivilege(LabError):
    """The user, or a server that is not the lab's own, does not allow a setting: what needs it is left out."""


class Session(Protocol):
    """One connection.

    Attributes:
        number: the server's own number of it.
    """

    number: int

    async def run(self, sql: str) -> int:
        """Carry out a statement; how many rows it changed or returned."""

    async def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a query."""

    async def close(self) -> None:
        """Close it; what is open is rolled back."""


class PostgresSession:
    """Over asyncpg."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.number: int = connection.get_server_pid()

    async def run(self, sql: str) -> int:
        last = str(await self._connection.execute(sql)).rpartition(" ")[2]
        return int(last) if last.isdecimal() else 0

    async def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await self._connection.fetch(sql)]

    async def close(self) -> None:
        await self._connection.close(timeout=LOCK_WAIT_S)


class MysqlSession:
    """Over asyncmy."""

    def __init__(self, connection: Any, number: int) -> None:
        self._connection = connection
        self.number = number

    async def run(self, sql: str) -> int:
        async with self._connection.cursor() as cursor:
            await cursor.execute(sql)
            return max(0, int(cursor.rowcount))

    async def rows(self, sql: str) -> list[tuple[Any, ...]]:
        async with self._connection.cursor() as cursor:
            await cursor.execute(sql)
            return [tuple(row) for row in await cursor.fetchall()]

    async def close(self) -> None:
        self._connection.close()


async def open_session(url: str, *, lock_wait_s: float = LOCK_WAIT_S, detector_s: float | None = None) -> Session:
    """Connect.

    Args:
        url: of a PostgreSQL, MariaDB or MySQL.
        lock_wait_s: the longest wait for one row; MariaDB and MySQL count whole seconds, 1 at least.
        detector_s: PostgreSQL only, for a superuser: after which wait the server looks for a deadlock; None: as it is
            configured, which is after 1 s. MariaDB and MySQL look at once, or never (a setting of the server).

    Raises:
        MissingPrivilege: the server does not let this user set `detector_s`.
        LabError: the database is SQLite.
    """
    address = read_url(url).address
    if isinstance(address, PostgresAddress):
        settings = {"lock_timeout": str(max(1, round(lock_wait_s * 1000))), "application_name": "stockade lab"}
        connection = await address.connect(server_settings=settings)
        session = PostgresSession(connection)
        if detector_s is not None:
            try:
                await session.run(f"SET deadlock_timeout = {round(detector_s * 1000)}")
            except Exception as error:
                await session.close()
                if classify(error) is not Failure.REFUSED:
                    raise
                raise MissingPrivilege("only a superuser may set deadlock_timeout") from error
        return session
    if not isinstance(address, MySQLAddress):
        raise LabError("SQLite has no sessions that wait for rows")
    driver = await address.connect(autocommit=True)
    found = MysqlSession(driver, 0)
    ((found.number,),) = await found.rows("SELECT connection_id()")
    await found.run(f"SET SESSION innodb_lock_wait_timeout = {max(1, round(lock_wait_s))}")
    await found.run("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
    return found


@asynccontextmanager
async def open_sessions(
    url: str, count: int, *, lock_wait_s: float = LOCK_WAIT_S, detector_s: float | None = None
) -> AsyncIterator[list[Session]]:
    """So many connections, all closed at the end, also if one cannot be; arguments and errors as `open_session`."""
    opened = list[Session]()
    try:
        while len(opened) < count:
            opened.append(await open_session(url, lock_wait_s=lock_wait_s, detector_s=detector_s))
        yield opened
    finally:
        closed = await asyncio.gather(*(session.close() for session in opened), return_exceptions=True)
        for error in closed:
            if error is not None:
                raise error


async def all_of(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run works at once; if one fails, the others have ended before its error is raised.

    Args:
        works: each over sessions of its own, which the caller closes afterwards.
    """
    tasks = [asyncio.create_task(each) for each in works]
    try:
        return await asyncio.gather(*tasks)
    finally:
        await end(tasks)


async def end(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel what runs and wait for its end, `LOCK_WAIT_S` at most, before the sessions that it uses are closed."""
    for task in tasks:
        task.cancel()
    ended, _ = await asyncio.wait(tasks, timeout=LOCK_WAIT_S)
    for task in ended:
        if not task.cancelled():
            task.exception()  # taken here; what ended the experiment is being raised
