"""Background jobs: end expired reservations, and delete old requests.

Every process may run both. Two sweepers send the same request for an order, and the store carries it out once. Two
purges delete the same row once. Neighbours: `queries.due` finds orders, `commands.ExpireOrder` decides, `bootstrap`
starts and stops the jobs.

What the purge deletes: the store answers a repeated idempotency key from its request row, and a rejected order is
nothing but its request row and the row by which lists find it. All are promised for `kept_ms` (24 hours by default).
The purge never deletes a request that changed stock, points or an order: no other row would say that the request was
carried out, so a repetition would be carried out again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

from sqlalchemy import Connection, delete, or_, select

from stockade.core import Command, Outcome, Rejected, StockadeError
from stockade.core.stopping import stopped_within
from stockade.shop.commands import ExpireOrder
from stockade.shop.model.tables import refused_orders
from stockade.shop.queries.due import START, Due, due
from stockade.shop.queries.page import after
from stockade.shop.queries.recorded import moved_nothing, rejected
from stockade.store.index_order import in_index_order
from stockade.store.schema.tables import requests

T = TypeVar("T")

DAY_MS = 24 * 3_600_000
STOP_ROUND_S = 2.0  # how long a stopping process waits for the rounds that are running
Counts = dict[str, int]


class RequestCursor(NamedTuple):
    """The sort key of a request: its time, then its id."""

    created_ms: int
    id: str


BEGINNING = RequestCursor(-1, "")


class Read(Protocol):
    """`Shop.read`, or `Database.read`."""

    def __call__(self, query: Callable[[Connection], Any], /) -> Awaitable[Any]: ...


class Transaction(Protocol):
    """`Database.transaction`."""

    def __call__(self, body: Callable[[Connection], Any], /, *, deadline: float) -> Awaitable[Any]: ...


Execute = Callable[[Command], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class Sweeper:
    """Finds reserved orders whose reservation has expired, and ends them.

    Attributes:
        read: runs a query.
        execute: carries out a command.
        now_ms: the wall clock, milliseconds since 1970.
        batch: the most orders of one query.
        max_batches: the most queries of one round; the next round goes on.
        at_once: the most commands at the same time.
    """

    read: Read
    execute: Execute
    now_ms: Callable[[], int]
    batch: int = 100
    max_batches: int = 50
    at_once: int = 32

    async def once(self) -> Counts:
        """One round.

        Returns:
            `found`; of these `expired` here, `elsewhere` (another process was first), `refused` (paid or cancelled
            meanwhile), `failed` (the next round finds them again).
        """
        now_ms = self.now_ms()
        counts = {"found": 0, "expired": 0, "elsewhere": 0, "refused": 0, "failed": 0}
        slots = asyncio.Semaphore(self.at_once)
        behind = START
        for _ in range(self.max_batches):
            found: list[Due] = await self.read(_next(now_ms, behind, self.batch))
            ends = await asyncio.gather(*(self._end(each, now_ms, slots) for each in found))
            counts["found"] += len(found)
            for end in ends:
                counts[end] += 1
            if len(found) < self.batch:
                break
            behind = found[-1]  # an order that cannot be ended must not block the others
        return counts

    async def _end(self, which: Due, now_ms: int, slots: asyncio.Semaphore) -> str:
        async with slots:
            try:
                outcome = await self.execute(ExpireOrder.due(which.order_id, which.reserved_until_ms, now_ms))
            except StockadeError:
                return "failed"
        if isinstance(outcome, Rejected):
            return "refused"
        return "elsewhere" if outcome.replayed else "expired"


@dataclass(slots=True)
class Purge:
    """Deletes requests that changed nothing and are older than `kept_ms`.

    It reads the requests in the order of their time and goes on where the last round ended, so that a round reads only
    requests that became old since then. The first round after a start begins at the oldest request.

    Attributes:
        transaction: runs a function in a transaction.
        now_ms: the wall clock, milliseconds since 1970.
        kept_ms: how long a request is kept, in milliseconds.
        batch: the most rows that one transaction reads.
        max_batches: the most transactions of one round; the next round goes on.
        wait_s: the longest that one transaction may take, in seconds.
    """

    transaction: Transaction
    now_ms: Callable[[], int]
    kept_ms: int = DAY_MS
    batch: int = 1_000
    max_batches: int = 100
    wait_s: float = 5.0
    _cursor: RequestCursor = field(default=BEGINNING, init=False)

    async def once(self) -> Counts:
        """One round; returns how many were `deleted`."""
        before_ms = self.now_ms() - self.kept_ms
        deleted = 0
        for _ in range(self.max_batches):
            step = partial(forget, before_ms=before_ms, cursor=self._cursor, limit=self.batch)
            deadline = time.monotonic() + self.wait_s
            cursor, gone = await self.transaction(step, deadline=deadline)
            deleted += gone
            if cursor is None:
                break
            self._cursor = cursor
        return {"deleted": deleted}


def forget(conn: Connection, before_ms: int, cursor: RequestCursor, limit: int) -> tuple[RequestCursor | None, int]:
    """Read the next `limit` requests made before `before_ms`, and delete those that changed nothing.

    Returns:
        The cursor to go on from, None at the end, and how many rows this call deleted: another purge may be running.
    """
    order = (requests.c.created_ms, requests.c.id)
    old = select(*order, or_(rejected(), moved_nothing()).label("idle")).where(requests.c.created_ms < before_ms)
    with in_index_order(conn):
        rows = conn.execute(old.where(after(order, cursor)).order_by(*order).limit(limit)).all()
    ids = sorted(row.id for row in rows if row.idle)
    gone = conn.execute(delete(requests).where(requests.c.id.in_(ids))).rowcount if ids else 0
    if ids:
        conn.execute(delete(refused_orders).where(refused_orders.c.id.in_(ids)))
    return (RequestCursor(rows[-1].created_ms, rows[-1].id) if rows else None), gone


@dataclass(frozen=True, slots=True)
class Round:
    """What one round of a job did; `error` when it failed."""

    job: str
    counts: Counts
    error: Exception | None = None


async def repeat(
    job: str,
    once: Callable[[], Awaitable[Counts]],
    pause_s: float,
    stop: asyncio.Event,
    report: Callable[[Round], None],
) -> None:
    """Run a job again and again until `stop` is set.

    Args:
        job: its name, for the report.
        once: one round.
        pause_s: seconds between two rounds; cut short by `stop`.
        stop: ends the job after the current round.
        report: called after every round, also after one that failed: the job goes on, because the database may be
            available again at the next round.
    """
    while not stop.is_set():
        try:
            done = Round(job, await once())
        except Exception as error:  # noqa: BLE001  reported
            done = Round(job, {}, error)
        report(done)
        await stopped_within(stop, pause_s)


async def ended(tasks: Sequence["asyncio.Task[None]"]) -> None:
    """Wait for the current rounds after their `stop` was set; cancel those that take longer than `STOP_ROUND_S`.

    The transaction of a cancelled round is rolled back, and the next process repeats the round.
    """
    _, late = await asyncio.wait(tasks, timeout=STOP_ROUND_S)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)


def _next(now_ms: int, behind: Due, limit: int) -> Callable[[Connection], list[Due]]:
    return lambda conn: due(conn, now_ms=now_ms, behind=behind, limit=limit)
