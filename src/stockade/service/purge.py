"""Deletes old requests and confirmed events: every process may run it, and two purges delete the same row once.

The store answers a repeated idempotency key from its request row. That is promised for `kept_ms` (24 hours by default).
The purge never deletes an accepted request that changed a guarded row, inserted a record or left an event: no other row
would say that the request was carried out, so a repetition would be carried out again.
Neighbours: `background` repeats it, `recorded` reads outcomes.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, Protocol

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, or_, select

from stockade.service.jobs import Counts
from stockade.service.recorded import moved_nothing, rejected
from stockade.store import Database
from stockade.store.index_order import in_index_order
from stockade.store.outbox import Outbox
from stockade.store.schema.tables import DEFAULT, StoreTables

DAY_MS = 24 * 3_600_000


class RequestCursor(NamedTuple):
    """The sort key of a request: its time, then its id."""

    created_ms: int
    id: str


BEGINNING = RequestCursor(-1, "")


class Write(Protocol):
    """`Database.write`."""

    def __call__(self, body: Callable[[Connection], Any], /, *, timeout_s: float) -> Awaitable[Any]: ...


@dataclass(slots=True)
class Purge:
    """Deletes requests that changed nothing and are older than `kept_ms`.

    It reads the requests in the order of their time and goes on where the last round ended, so that a round reads only
    requests that became old since then. The first round after a start begins at the oldest request.

    Attributes:
        write: runs a function in a transaction.
        wall_clock_ms: gives the wall clock, milliseconds since 1970.
        kept_ms: how long a request is kept, in milliseconds.
        batch: the most rows that one transaction reads.
        max_batches: the most transactions of one round; the next round goes on.
        wait_s: the longest that one transaction may take, in seconds.
        tables: the store's tables in this database.
        refusals: records of the application whose `id` is that of a refused request; they go with it.
    """

    write: Write
    wall_clock_ms: Callable[[], int]
    kept_ms: int = DAY_MS
    batch: int = 1_000
    max_batches: int = 100
    wait_s: float = 5.0
    tables: StoreTables = DEFAULT
    refusals: Sequence[Table] = ()
    _cursor: RequestCursor = field(default=BEGINNING, init=False)

    async def once(self) -> Counts:
        """One round; returns how many were `deleted`."""
        before_ms = self.wall_clock_ms() - self.kept_ms
        deleted = 0
        for _ in range(self.max_batches):
            step = partial(
                purge_requests,
                before_ms=before_ms,
                cursor=self._cursor,
                limit=self.batch,
                tables=self.tables,
                refusals=self.refusals,
            )
            cursor, gone = await self.write(step, timeout_s=self.wait_s)
            deleted += gone
            if cursor is None:
                break
            self._cursor = cursor
        return {"deleted": deleted}


class EventPurge:
    """Deletes confirmed events that are older than `kept_ms` and that no job has yet to read.

    The last event that a job has read stays: SQLite gives the id of the newest row again once that row is deleted.
    """

    def __init__(
        self,
        database: Database,
        wall_clock_ms: Callable[[], int],
        kept_ms: int,
        keep_from: Callable[[Connection], int | None] | None = None,
    ) -> None:
        self._database, self._outbox = database, Outbox(database)
        self._wall_clock_ms, self._kept_ms, self._keep_from = wall_clock_ms, kept_ms, keep_from

    async def once(self) -> Counts:
        """One round; returns how many were `deleted`."""
        before_id = None if self._keep_from is None else await self._database.read(self._keep_from)
        return {"deleted": await self._outbox.purge(self._wall_clock_ms() - self._kept_ms, before_id=before_id)}


def purge_requests(
    conn: Connection,
    before_ms: int,
    cursor: RequestCursor,
    limit: int,
    *,
    tables: StoreTables = DEFAULT,
    refusals: Sequence[Table] = (),
) -> tuple[RequestCursor | None, int]:
    """Read the next `limit` requests made before `before_ms`, and delete those that changed nothing.

    Args:
        conn: in a transaction.
        before_ms: milliseconds since 1970.
        cursor: the request behind which to go on.
        limit: the most requests that are read.
        tables: see `Purge`.
        refusals: see `Purge`.

    Returns:
        The cursor to go on from, None at the end, and how many rows this call deleted: another purge may be running.
    """
    requests = tables.requests
    order = (requests.c.created_ms, requests.c.id)
    old = select(*order, or_(rejected(requests), moved_nothing(requests)).label("idle")).where(
        requests.c.created_ms < before_ms
    )
    with in_index_order(conn):
        rows = conn.execute(old.where(_after(order, cursor)).order_by(*order).limit(limit)).all()
    ids = sorted(row.id for row in rows if row.idle)
    gone = conn.execute(delete(requests).where(requests.c.id.in_(ids))).rowcount if ids else 0
    for table in refusals if ids else ():  # after the requests: the order in which a command writes both
        conn.execute(delete(table).where(table.c.id.in_(ids)))
    return (RequestCursor(rows[-1].created_ms, rows[-1].id) if rows else None), gone


def _after(order: tuple[ColumnElement[int], ColumnElement[str]], cursor: RequestCursor) -> ColumnElement[bool]:
    """Every optimizer turns the first condition into a range of the index."""
    at_ms, id_ = order
    return and_(at_ms >= cursor.created_ms, or_(at_ms > cursor.created_ms, id_ > cursor.id))
