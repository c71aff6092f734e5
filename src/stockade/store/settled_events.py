"""Up to which id the outbox is complete: below it every event is committed, and none will appear.

The ids of the outbox are given out before the commit, so a transaction may commit an id after others have committed
higher ones. A reader that only remembers the last id it saw would skip that event for ever. This module finds an id up
to which that cannot happen, without a lock that a writer could wait for (docs/adr/0021). What was learned from a server
that another one has replaced is forgotten: the new one may lack its newest ids, and gives them out again.
Neighbours: `store.outbox` sends the same events, by their state and not by a position; `shop.sales` counts them.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Connection, Table, func, select, text

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


# Another server answers: it was promoted, or is the same one after a restart.
_POSTGRES_SERVER = text("SELECT CAST(pg_postmaster_start_time() AS text)")
_MYSQL_SERVER = text("SELECT CONCAT_WS(' ', @@server_id, @@hostname, @@port)")


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
    database: Database, wall_clock_ms: Callable[[], int], clock: Callable[[], float] = time.monotonic
) -> SettledEvents:
    """The way to find them on this database.

    Args:
        database: with the outbox.
        wall_clock_ms: gives the wall clock, milliseconds since 1970.
        clock: monotonic, in seconds.
    """
    match database.dialect.name:
        case "postgres":
            return _ByLocks(database, wall_clock_ms)
        case "sqlite":
            return _OneWriter(database, wall_clock_ms)
    return _ByRows(database, wall_clock_ms, clock)


def newest_id(connection: Connection, outbox: Table) -> int:
    """The newest id that is committed; 0 where there is none."""
    found: int = connection.execute(select(func.coalesce(func.max(outbox.c.id), 0))).scalar_one()
    return found


class _OneWriter:
    """SQLite: transactions that write are one after the other, so ids are committed in their order."""

    def __init__(self, database: Database, wall_clock_ms: Callable[[], int]) -> None:
        self._database, self._wall_clock_ms = database, wall_clock_ms

    async def up_to(self, after: int | None) -> Settled | None:
        at_ms, tables = self._wall_clock_ms(), self._database.tables
        return Settled(await self._database.read(lambda c: newest_id(c, tables.outbox)), at_ms)


class _Seen(NamedTuple):
    """What one server said in one look: its newest id was read before its writers."""

    server: str
    newest: Settled
    writers: frozenset[str]


class _ByLocks:
    """PostgreSQL: the newest id is settled once every transaction has ended that was writing when it was read.

    A transaction that has a lower id took its lock on the table before that id, and so before the newest id was
    committed. It is then among the writers, or its end is visible already: a transaction becomes visible before it
    releases its locks.
    """

    def __init__(self, database: Database, wall_clock_ms: Callable[[], int]) -> None:
        self._database, self._wall_clock_ms = database, wall_clock_ms
        self._settled: Settled | None = None
        self._server = ""
        self._next: _Seen | None = None

    async def up_to(self, after: int | None) -> Settled | None:
        for _ in range(MAX_LOOKS):
            at_ms = self._wall_clock_ms()
            try:
                seen = await self._database.read(partial(self._look, at_ms=at_ms))
            except BaseException:
                self._settled = self._next = None  # the next answer may come from another server
                raise
            if not self._is_continued_by(seen):
                self._settled, self._next, self._server = None, None, seen.server
            newest, writers = (self._next or seen).newest, (self._next or seen).writers & seen.writers
            if not writers:
                self._settled, self._next = newest, None
                break
            self._next = _Seen(seen.server, newest, writers)
            await asyncio.sleep(PAUSE_S)
        return self._settled

    def _is_continued_by(self, seen: _Seen) -> bool:
        """Whether the same server answers, and still has every id that is known."""
        known = [each.id for each in (self._settled, self._next and self._next.newest) if each]
        return seen.server == self._server and seen.newest.id >= max(known, default=0)

    def _look(self, connection: Connection, at_ms: int) -> _Seen:
        server = connection.execute(_POSTGRES_SERVER).scalar_one()
        newest = newest_id(connection, self._database.tables.outbox)  # before the writers: see above
        table = connection.dialect.identifier_preparer.format_table(self._database.tables.outbox)
        writers = connection.execute(_WRITERS, {"name": table}).scalars()
        return _Seen(server, Settled(newest, at_ms), frozenset(writers))


class _ByRows:
    """MariaDB and MySQL: an id that is old enough is settled once no row below it waits for its commit.

    InnoDB shows rows without a commit to a dirty read. A row that has its id and is not yet there is being inserted by
    a statement that runs in the server: such a statement is given time, and is looked for in the list of processes.
    """

    def __init__(self, database: Database, wall_clock_ms: Callable[[], int], clock: Callable[[], float]) -> None:
        self._database, self._wall_clock_ms, self._clock = database, wall_clock_ms, clock
        self._settled: Settled | None = None
        self._server = ""
        self._next: tuple[Settled, float] | None = None

    async def up_to(self, after: int | None) -> Settled | None:
        try:
            return await self._up_to(after)
        except BaseException:
            self._settled = self._next = None  # the next answer may come from another server
            raise

    async def _up_to(self, after: int | None) -> Settled | None:
        at_ms, tables = self._wall_clock_ms(), self._database.tables
        server, present = await self._database.read(lambda c: _server_and_newest(c, tables))
        known = [each.id for each in (self._settled, self._next and self._next[0]) if each]
        if server != self._server or present < max(known, default=0):
            self._settled, self._next, self._server = None, None, server
        if self._next is None:
            self._next = Settled(present, at_ms), self._clock()
        newest, since_s = self._next
        if self._clock() - since_s < INSERTED_WITHIN_S:
            return self._settled
        counted = max([newest.id - FIRST_LOOK_BACK, after or 0, self._settled.id if self._settled else 0])
        deadline = time.monotonic() + 5.0
        count = select(func.count()).where(tables.outbox.c.id > counted, tables.outbox.c.id <= newest.id)
        dirty = await self._database.transaction(
            lambda c: _rows_and_inserts(c, tables, count), deadline=deadline, isolation="READ UNCOMMITTED"
        )
        committed, (server_after, present_after) = await self._database.read(
            lambda c: (c.execute(count).scalar_one(), _server_and_newest(c, tables))
        )
        if server_after != server or present_after < newest.id:
            self._settled = self._next = None
        elif dirty == (committed, 0):
            self._settled, self._next = newest, (Settled(present, at_ms), self._clock())
        return self._settled


def _server_and_newest(connection: Connection, tables: StoreTables) -> tuple[str, int]:
    return connection.execute(_MYSQL_SERVER).scalar_one(), newest_id(connection, tables.outbox)


def _rows_and_inserts(connection: Connection, tables: StoreTables, count: Any) -> tuple[int, int]:
    """How many rows there are, and before that, how many statements had been inserting for too long."""
    insert = f"%INSERT INTO%{tables.outbox.name}%"
    inserting = connection.execute(_INSERTING, {"seconds": INSERTED_WITHIN_S, "insert": insert}).scalar_one()
    return connection.execute(count).scalar_one(), inserting
