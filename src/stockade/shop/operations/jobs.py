"""What the shop does by itself: end reservations that ran out, and forget old requests.

Every instance may run both. Two sweepers send the same request for an order, which is carried out once; two purges
skip each other's rows. Neighbours: `queries.due` finds, `commands.ExpireOrder` decides, `wiring` starts and stops.

What the purge takes away: a request row is what a repeated idempotency key is answered from, and it is all there is
of a refused order. Both are promised for `kept_ms` (24 hours unless configured otherwise) and end together. A request
that moved stock, points or an order is never forgotten: whenever it comes again, it gets its first answer and does
nothing, for nothing else in the database would know that it was done.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

from sqlalchemy import Connection, delete, or_, select

from stockade.core import Accepted, Command, Rejected, StockadeError
from stockade.shop.commands import ExpireOrder
from stockade.shop.queries.due import START, Due, due
from stockade.shop.queries.page import after
from stockade.shop.queries.recorded import moved_nothing, refused
from stockade.store.index_order import in_index_order
from stockade.store.schema.tables import requests

T = TypeVar("T")

DAY_MS = 24 * 3_600_000
STOP_ROUND_S = 2.0  # how long a stopping process waits for the rounds under way
Counts = dict[str, int]


class Place(NamedTuple):
    """A request's place in the order of time."""

    created_ms: int
    id: str


BEGINNING = Place(-1, "")


class Read(Protocol):
    """`Shop.read`, or `Database.read`."""

    def __call__(self, query: Callable[[Connection], Any], /) -> Awaitable[Any]: ...


class Transaction(Protocol):
    """`Database.transaction`."""

    def __call__(self, body: Callable[[Connection], Any], /, *, deadline: float) -> Awaitable[Any]: ...


Execute = Callable[[Command], Awaitable[Accepted | Rejected]]


@dataclass(frozen=True, slots=True)
class Sweeper:
    """Finds reserved orders whose time is over and ends them.

    Attributes:
        read: runs a query.
        execute: carries out a command.
        now_ms: the wall clock, milliseconds since 1970.
        batch: orders found by one query.
        max_batches: queries of one round; what is left waits for the next.
        at_once: commands under way at the same time.
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
            `found`; of these `expired` here, `elsewhere` (another instance was first), `refused` (paid or cancelled
            meanwhile), `failed` (busy, lost: the next round finds them again).
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
            behind = found[-1]  # not from the start again: one that cannot be ended must not hold up the others
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
    """Forgets requests that changed nothing and are older than their promise.

    It walks the requests by their time and remembers its place, so that a round costs no more than what has grown
    old since the last one; the first round after a start begins at the oldest.

    Attributes:
        transaction: runs a function in a transaction.
        now_ms: the wall clock, milliseconds since 1970.
        kept_ms: how long a request is kept, in milliseconds.
        batch: rows looked at by one transaction.
        max_batches: transactions of one round; what is left waits for the next.
        wait_s: the longest one transaction may take, in seconds.
    """

    transaction: Transaction
    now_ms: Callable[[], int]
    kept_ms: int = DAY_MS
    batch: int = 1_000
    max_batches: int = 100
    wait_s: float = 5.0
    _behind: Place = field(default=BEGINNING, init=False)

    async def once(self) -> Counts:
        """One round; returns how many were `deleted`."""
        before_ms = self.now_ms() - self.kept_ms
        deleted = 0
        for _ in range(self.max_batches):
            step = partial(forget, before_ms=before_ms, behind=self._behind, limit=self.batch)
            deadline = time.monotonic() + self.wait_s
            place, gone = await self.transaction(step, deadline=deadline)
            deleted += gone
            if place is None:
                break
            self._behind = place
        return {"deleted": deleted}


def forget(conn: Connection, before_ms: int, behind: Place, limit: int) -> tuple[Place | None, int]:
    """Look at the next `limit` requests made before `before_ms` and delete those that changed nothing.

    Returns:
        The place to go on from, None when there is nothing more to look at, and how many were deleted here: a purge
        beside this one may have been first.
    """
    order = (requests.c.created_ms, requests.c.id)
    old = select(*order, or_(refused(), moved_nothing()).label("idle")).where(requests.c.created_ms < before_ms)
    with in_index_order(conn):
        rows = conn.execute(old.where(after(order, behind)).order_by(*order).limit(limit)).all()
    ids = sorted(row.id for row in rows if row.idle)
    gone = conn.execute(delete(requests).where(requests.c.id.in_(ids))).rowcount if ids else 0
    return (Place(rows[-1].created_ms, rows[-1].id) if rows else None), gone


@dataclass(frozen=True, slots=True)
class Round:
    """What one round of a job did; `error` when it could not be finished."""

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
        stop: ends the job after the round under way.
        report: told every round. A round that raises is told too, and the next one follows: a job must outlive a
            database that is away.
    """
    while not stop.is_set():
        try:
            done = Round(job, await once())
        except Exception as error:  # noqa: BLE001  told to `report`
            done = Round(job, {}, error)
        report(done)
        try:
            async with asyncio.timeout(pause_s):
                await stop.wait()
        except TimeoutError:
            continue


async def ended(tasks: Sequence["asyncio.Task[None]"]) -> None:
    """Wait for the rounds under way, after their `stop` was set; give up those that take longer than `STOP_ROUND_S`.

    A round that is given up leaves its transaction undone, and the next process begins it again.
    """
    _, late = await asyncio.wait(tasks, timeout=STOP_ROUND_S)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)


def _next(now_ms: int, behind: Due, limit: int) -> Callable[[Connection], list[Due]]:
    return lambda conn: due(conn, now_ms=now_ms, behind=behind, limit=limit)
