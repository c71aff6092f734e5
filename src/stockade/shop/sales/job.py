"""The job that advances the sums of sales. Every process may run it: the first to claim the progress does the work."""

import logging
import time
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Connection

from stockade.drivers.failures import Failure, classify
from stockade.shop.sales.backfill import Backfilled, backfill
from stockade.shop.sales.changes import COUNTED_EVENTS, changes_of, steps_of
from stockade.shop.sales.hours import hour_of, oldest_kept
from stockade.shop.sales.progress import Progress, begin, claim, move, progress_of
from stockade.shop.sales.sums import add, delete_hour
from stockade.shop.sales.windows import first_hour, keep_windows
from stockade.store import Database
from stockade.store.schema.tables import outbox
from stockade.store.settled_events import Settled, SettledEvents, newest_id, settled_events

log = logging.getLogger(__name__)
MAX_STEPS = 10_000  # transactions of one kind in one round


class _Counted(NamedTuple):
    """One batch of events, whether there are more up to the settled id, and which of them cannot be read."""

    events: int
    more: bool
    unreadable: tuple[str, ...] = ()


class _Left(Enum):
    """What a step leaves to do."""

    NOTHING = auto()
    MORE = auto()
    UNKNOWN = auto()  # another process has claimed the progress


class SalesJob:
    """Counts new events of orders, adds up old orders, and drops the hours that no window needs any more.

    Args:
        database: of the shop.
        wall_clock_ms: gives the wall clock, milliseconds since 1970.
        settled: finds the events that may be counted; None: as this database needs it.
        batch: the most events of one transaction, and the most old orders.
        busy_s: after so long, in seconds, a round takes no further step of one kind; the step under way ends. New
            events must not wait for old orders.
        wait_s: the longest that one transaction may take, in seconds.
    """

    def __init__(
        self,
        database: Database,
        wall_clock_ms: Callable[[], int],
        *,
        settled: SettledEvents | None = None,
        batch: int = 2_000,
        busy_s: float = 1.0,
        wait_s: float = 5.0,
    ) -> None:
        self._database, self._wall_clock_ms = database, wall_clock_ms
        self._settled = settled or settled_events(database, wall_clock_ms)
        self._batch, self._busy_s, self._wait_s = batch, busy_s, wait_s
        self._reported_position: int | None = None  # beyond the newest event
        self._kept_hour_ms: int | None = None  # the hour in which this process has found nothing more to take out

    async def once(self) -> dict[str, int]:
        """One round.

        Returns:
            `added_up`: old orders looked through; `purged`: sums deleted; `unreadable`: events that were left
            out, because their bodies are none of an order. Other events are not reported.

        Raises:
            Busy, CommitUnconfirmed, TimeoutError: as `Database.transaction`.
        """
        done = {"added_up": 0, "purged": 0, "unreadable": 0}
        progress, newest = await self._database.read(lambda c: (progress_of(c), newest_id(c, outbox)))
        if progress is not None and progress.position > newest:
            self._report_position(progress.position, newest)
        settled = await self._settled.up_to(progress.position if progress else None)
        if settled is None:
            return done
        if progress is None:
            self._kept_hour_ms = None
            await self._begin(settled)
        if progress is None or progress.position < settled.id:
            counting = partial(count_events, settled=settled, batch=self._batch)
            if await self._repeated(lambda: self._count(counting, done)) is _Left.MORE:
                return done  # new events first
        now_ms = self._wall_clock_ms()
        if hour_of(now_ms) != self._kept_hour_ms:
            keeping = partial(_keep, now_ms=now_ms)
            if await self._repeated(lambda: self._database.write(keeping, timeout_s=self._wait_s)) is not _Left.NOTHING:
                return done  # a window needs its oldest hours until they are taken out of it
            purged = await self._database.write(partial(_purge, now_ms=now_ms), timeout_s=self._wait_s)
            done["purged"] = purged or 0
            self._kept_hour_ms = hour_of(now_ms) if purged == 0 else None
        if progress is None or progress.counted_from_ms > oldest_kept(now_ms):

            async def add_up() -> _Left:
                step = await self._backfill(now_ms)
                done["added_up"] += step.orders
                return _Left.MORE if step.more else _Left.NOTHING

            await self._repeated(add_up)
        return done

    def _report_position(self, position: int, newest: int) -> None:
        """Log once that the outbox may give out ids that pass for counted."""
        if position != self._reported_position:
            self._reported_position = position
            log.error(
                "sales are counted up to event %d, but the newest event is %d: events may be missing from the sums;"
                " count them again, as the chapter on sums of sales in docs/deploy.md says",
                position,
                newest,
            )

    async def _repeated(self, step: Callable[[], Awaitable[_Left]]) -> _Left:
        """Repeat a step for `busy_s` while there is more to do; what the last one left."""
        end_s = time.monotonic() + self._busy_s
        for _ in range(MAX_STEPS):
            left = await step()
            if left is not _Left.MORE:
                return left
            if time.monotonic() >= end_s:
                break
        return _Left.MORE

    async def _count(self, counting: Callable[[Connection], _Counted], done: dict[str, int]) -> _Left:
        counted = await self._database.write(counting, timeout_s=self._wait_s)
        for each in counted.unreadable:
            log.error("sales: %s", each)
        done["unreadable"] += len(counted.unreadable)
        return _Left.MORE if counted.more else _Left.NOTHING

    async def _begin(self, settled: Settled) -> None:
        try:
            await self._database.write(
                lambda c: begin(c, settled) if _has(c, settled) else None, timeout_s=self._wait_s
            )
        except Exception as error:
            if classify(error) is not Failure.DUPLICATE:  # else another process has begun
                raise

    async def _backfill(self, now_ms: int) -> Backfilled:
        body = partial(backfill, now_ms=now_ms, batch=self._batch)
        isolation = None if self._database.dialect.name == "sqlite" else "REPEATABLE READ"
        try:
            return await self._database.write(body, timeout_s=self._wait_s, isolation=isolation)
        except Exception as error:
            if classify(error) is not Failure.CONFLICT:  # else another process has moved the progress meanwhile
                raise
            return Backfilled(0, False)


def _has(connection: Connection, settled: Settled) -> bool:
    """Whether this server has the event: one that was promoted meanwhile may lack it, and gives its id out again."""
    return newest_id(connection, outbox) >= settled.id


def _keep(connection: Connection, now_ms: int) -> _Left:
    if claim(connection) is None:
        return _Left.UNKNOWN
    return _Left.MORE if keep_windows(connection, now_ms) else _Left.NOTHING


def _purge(connection: Connection, now_ms: int) -> int | None:
    """Delete one hour that no window holds any more: how many sums it had; None without the claim."""
    progress = claim(connection)
    if progress is None:
        return None
    oldest_ms = min(oldest_kept(now_ms), first_hour(connection))  # another process may be taking hours out
    if progress.counted_from_ms < oldest_ms:
        move(connection, counted_from_ms=oldest_ms)
    return delete_hour(connection, oldest_ms)


def count_events(
    connection: Connection,
    settled: Settled,
    batch: int,
    claimed: Callable[[Connection], Progress | None] = claim,
) -> _Counted:
    """Count the next events up to a settled id, and move the position with the sums.

    Args:
        connection: inside a transaction.
        settled: up to where events may be counted.
        batch: the most events.
        claimed: reads and locks the progress; tests show what happens without the lock.
    """
    progress = claimed(connection)
    if progress is None or progress.position >= settled.id or not _has(connection, settled):
        return _Counted(0, False)
    wanted = COUNTED_EVENTS.where(outbox.c.id > progress.position, outbox.c.id <= settled.id)
    events: list[Any] = list(connection.execute(wanted.order_by(outbox.c.id).limit(batch)).all())
    steps, unreadable = steps_of(events)
    add(connection, changes_of(connection, steps, from_ms=progress.counted_from_ms))
    if len(events) == batch:
        move(connection, position=events[-1].id)
        return _Counted(batch, True, tuple(unreadable))
    move(connection, position=settled.id, as_of_ms=max(settled.at_ms, progress.as_of_ms))
    return _Counted(len(events), False, tuple(unreadable))
