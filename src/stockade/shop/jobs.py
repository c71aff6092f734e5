"""What the shop does by itself: end reservations that ran out, and forget old requests.

Every instance may run both. Two sweepers send the same request for an order, which is carried out once; two purges
skip each other's rows. Neighbours: `queries.due` finds, `commands.ExpireOrder` decides, `wiring` starts and stops.

What the purge takes away: a request row is what a repeated idempotency key is answered from, and it is all there is
of a refused order. Both are promised for `kept_ms` (24 hours unless configured otherwise), and both end together. An
order, charge or adjustment whose request row is gone still cannot happen twice: its id is taken.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from stockade.core import Accepted, Command, Rejected, StockadeError
from stockade.shop import words
from stockade.shop.commands import ExpireOrder
from stockade.shop.queries.due import START, Due, due
from stockade.store.tables import marks, requests

T = TypeVar("T")

DAY_MS = 24 * 3_600_000
Counts = dict[str, int]


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


@dataclass(frozen=True, slots=True)
class Purge:
    """Forgets requests that are older than their promise.

    Attributes:
        transaction: runs a function in a transaction.
        now_ms: the wall clock, milliseconds since 1970.
        kept_ms: how long a request is kept, in milliseconds.
        batch: rows deleted by one transaction.
        max_batches: transactions of one round; what is left waits for the next.
        wait_s: the longest one transaction may take, in seconds.
    """

    transaction: Transaction
    now_ms: Callable[[], int]
    kept_ms: int = DAY_MS
    batch: int = 1_000
    max_batches: int = 100
    wait_s: float = 5.0

    async def once(self) -> Counts:
        """One round; returns how many were `deleted`."""
        before_ms = self.now_ms() - self.kept_ms
        deleted = 0
        for _ in range(self.max_batches):
            deadline = time.monotonic() + self.wait_s
            gone = await self.transaction(lambda conn: forget(conn, before_ms, self.batch), deadline=deadline)
            deleted += gone
            if gone < self.batch:
                break
        return {"deleted": deleted}


def forget(conn: Connection, before_ms: int, limit: int) -> int:
    """Delete up to `limit` requests made before `before_ms`, the oldest first; how many there were.

    Rows that another purge holds are skipped (SQLite has one writer anyway and ignores the lock clause). A mark says
    up to when requests may be gone, so that the audit does not take a purged one for a lost one.
    """
    old = (
        select(requests.c.id)
        .where(requests.c.created_ms < before_ms)
        .order_by(requests.c.created_ms)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    ids = sorted(conn.execute(old).scalars())
    if ids:
        _raise_mark(conn, before_ms)
        conn.execute(delete(requests).where(requests.c.id.in_(ids)))
    return len(ids)


def _raise_mark(conn: Connection, at_ms: int) -> None:
    here = marks.c.name == words.REQUESTS_PURGED
    if conn.execute(select(marks.c.name).where(here)).first() is None:
        try:
            with conn.begin_nested():
                conn.execute(insert(marks).values(name=words.REQUESTS_PURGED, at_ms=at_ms))
        except IntegrityError:  # the first purge of another instance was a moment earlier; its mark is raised below
            pass
    conn.execute(update(marks).where(here, marks.c.at_ms < at_ms).values(at_ms=at_ms))


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


def _next(now_ms: int, behind: Due, limit: int) -> Callable[[Connection], list[Due]]:
    return lambda conn: due(conn, now_ms=now_ms, behind=behind, limit=limit)
