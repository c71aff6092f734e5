"""Up to which id the outbox is complete: below it every event is committed, and none will appear.

The ids of the outbox are given out before the commit, so a transaction may commit an id after others have committed
higher ones. A reader that only remembers the last id it saw would skip that event for ever. This module finds an id up
to which that cannot happen, without a lock that a writer could wait for (docs/adr/0021).
Neighbours: `store.outbox` sends the same events, by their state and not by a position; `shop.sales` counts them.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Connection, func, select, text

from stockade.store.engine.database import Database
from stockade.store.schema.tables import StoreTables

PAUSE_S = 0.02  # between two looks at the writers
MAX_LOOKS = 25  # in one call; the next call goes on
INSERTED_WITHIN_S = 2.0  # MariaDB, MySQL: from the id to the row, inside one statement of the server
FIRST_LOOK_BACK = 1_000_000  # MariaDB, MySQL: events that a first call looks through for rows without a commit

# A transaction has this lock from before it takes its first id until its end is visible to others.
_WRITERS = text(
    "SELECT DISTINCT virtualtransaction FROM pg_locks WHERE locktype = 'relation' AND granted"
    " AND mode = 'RowExclusiveLock' AND relation = CAST(:name AS regclass)"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
# Statements of the same user that have been inserting for that long: others are not shown without a further right.
_INSERTING = text(
    "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND ID <> CONNECTION_ID()"
    " AND COMMAND IN ('Query', 'Execute') AND TIME >= :seconds AND INFO LIKE :insert"
)


class Settled(NamedTuple):
    """An id up to which the outbox is complete.

    Attributes:
        id: 0 for an outbox that never had an event.
        at_ms: what was committed before that time, in milliseconds since 1970, has no higher id.
    """

    id: int
    at_ms: int


class SettledEvents(Protocol):
    """Finds such ids; each call may find a higher one."""

    async def up_to(self, after: int | None) -> Settled | None:
        """The highest settled id that is known, None if none is known yet.

        Args:
            after: an id that is settled; None: none is known.

        Raises:
            Busy: as `Database.read`.
        """


def settled_events(
    database: Database, now_ms: Callable[[], int], clock: Callable[[], float] = time.monotonic
) -> SettledEvents:
    """The way to find them on this database.

    Args:
        database: with the outbox.
        now_ms: the wall clock, milliseconds since 1970.
        clock: monotonic, in seconds.
    """
    match database.dialect.name:
        case "postgres":
            return _ByLocks(database, now_ms)
        case "sqlite":
            return _OneWriter(database, now_ms)
    return _ByRows(database, now_ms, clock)


async def _newest(database: Database, now_ms: Callable[[], int]) -> Settled:
    at_ms, newest = now_ms(), select(func.coalesce(func.max(database.tables.outbox.c.id), 0))
    return Settled(await database.read(lambda c: c.execute(newest).scalar_one()), at_ms)


class _OneWriter:
    """SQLite: transactions that write are one after the other, so ids are committed in their order."""

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self._database, self._now_ms = database, now_ms

    async def up_to(self, after: int | None) -> Settled | None:
        return await _newest(self._database, self._now_ms)


class _ByLocks:
    """PostgreSQL: the newest id is settled once every transaction has ended that was writing when it was read.

    A transaction that has a lower id took its lock on the table before that id, and so before the newest id was
    committed. It is then among the writers, or its end is visible already: a transaction becomes visible before it
    releases its locks.
    """

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self._database, self._now_ms = database, now_ms
        self._settled: Settled | None = None
        self._next: tuple[Settled, frozenset[str]] | None = None

    async def up_to(self, after: int | None) -> Settled | None:
        for _ in range(MAX_LOOKS):
            if self._next is None:
                newest = await _newest(self._database, self._now_ms)  # before the writers: see above
                self._next = newest, await self._database.read(self._writers)
            newest, writers = self._next
            left = writers & await self._database.read(self._writers) if writers else writers
            if not left:
                self._settled, self._next = newest, None
                break
            self._next = newest, left
            await asyncio.sleep(PAUSE_S)
        return self._settled

    def _writers(self, connection: Connection) -> frozenset[str]:
        table = connection.dialect.identifier_preparer.format_table(self._database.tables.outbox)
        return frozenset(connection.execute(_WRITERS, {"name": table}).scalars())


class _ByRows:
    """MariaDB and MySQL: an id that is old enough is settled once no row below it waits for its commit.

    InnoDB shows rows without a commit to a dirty read. A row that has its id and is not yet there is being inserted by
    a statement that runs in the server: such a statement is given time, and is looked for in the list of processes.
    """

    def __init__(self, database: Database, now_ms: Callable[[], int], clock: Callable[[], float]) -> None:
        self._database, self._now_ms, self._clock = database, now_ms, clock
        self._settled: Settled | None = None
        self._next: tuple[Settled, float] | None = None

    async def up_to(self, after: int | None) -> Settled | None:
        if self._next is None:
            self._next = await _newest(self._database, self._now_ms), self._clock()
        newest, since_s = self._next
        if self._clock() - since_s < INSERTED_WITHIN_S:
            return self._settled
        known = max([newest.id - FIRST_LOOK_BACK, after or 0, self._settled.id if self._settled else 0])
        deadline = time.monotonic() + 5.0
        tables = self._database.tables
        count = select(func.count()).where(tables.outbox.c.id > known, tables.outbox.c.id <= newest.id)
        dirty = await self._database.transaction(
            lambda c: _rows_and_inserts(c, tables, count), deadline=deadline, isolation="READ UNCOMMITTED"
        )
        committed = await self._database.read(lambda c: c.execute(count).scalar_one())
        if dirty == (committed, 0):
            self._settled, self._next = newest, (await _newest(self._database, self._now_ms), self._clock())
        return self._settled


def _rows_and_inserts(connection: Connection, tables: StoreTables, count: Any) -> tuple[int, int]:
    """How many rows there are, and before that, how many statements had been inserting for too long."""
    insert = f"%INSERT INTO%{tables.outbox.name}%"
    inserting = connection.execute(_INSERTING, {"seconds": INSERTED_WITHIN_S, "insert": insert}).scalar_one()
    return connection.execute(count).scalar_one(), inserting
