"""Finds rows that are due, and sends a command for each: an expired reservation, a campaign that ends.

Every process may run the same sweeper: two send the same request for a row, and the store carries it out once, provided
that the request id is derived from the row. Neighbours: the application has the query and the command, `background`
repeats the rounds.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy import Connection

from stockade.core import Command, Outcome, Rejected
from stockade.service.jobs import Counts

log = logging.getLogger(__name__)
D = TypeVar("D")
D_co = TypeVar("D_co", covariant=True)

Execute = Callable[[Command], Awaitable[Outcome]]


class Read(Protocol):
    """`Service.read`, or `Database.read`."""

    def __call__(self, query: Callable[[Connection], Any], /) -> Awaitable[Any]: ...


class Find(Protocol[D_co]):
    """A query for the next rows that are due, in a stable order, after `behind` (None: from the beginning)."""

    def __call__(self, connection: Connection, *, now_ms: int, behind: Any, limit: int) -> Sequence[D_co]: ...


@dataclass(frozen=True, slots=True)
class Sweep(Generic[D]):
    """What a sweeper looks for, and what it does.

    Attributes:
        name: of the job, in logs and reports.
        find: reads the next due rows.
        command: the command for a row, from the row and the time. Its request id must follow from the row alone.
        done: what a command that was accepted is counted as.
        pause_s: seconds between two rounds.
    """

    name: str
    find: Find[D]
    command: Callable[[D, int], Command]
    done: str = "done"
    pause_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Sweeper(Generic[D]):
    """Carries out a sweep.

    Attributes:
        sweep: what to look for.
        read: runs a query.
        execute: carries out a command.
        wall_clock_ms: gives the wall clock, milliseconds since 1970.
        batch: the most rows of one query.
        max_batches: the most queries of one round; the next round goes on.
        at_once: the most commands at the same time.
    """

    sweep: Sweep[D]
    read: Read
    execute: Execute
    wall_clock_ms: Callable[[], int]
    batch: int = 100
    max_batches: int = 50
    at_once: int = 32

    async def once(self) -> Counts:
        """One round.

        Returns:
            `found`; of these `done` here (or as the sweep names it), `elsewhere` (another process was first),
            `refused` (the rules say no by now), `failed` (the next round finds them again).
        """
        now_ms = self.wall_clock_ms()
        counts = {"found": 0, self.sweep.done: 0, "elsewhere": 0, "refused": 0, "failed": 0}
        slots = asyncio.Semaphore(self.at_once)
        behind: D | None = None
        for _ in range(self.max_batches):
            found = await self.read(self._query(now_ms, behind))
            # one error, even of a broken command, must not leave the other commands running unawaited
            work = [self._carry_out(each, now_ms, slots) for each in found]
            results = await asyncio.gather(*work, return_exceptions=True)
            if (error := next((each for each in results if not isinstance(each, str)), None)) and not counts["failed"]:
                log.warning("%s: a command failed, the next round repeats it: %r", self.sweep.name, error)
            counts["found"] += len(found)
            for result in results:
                counts[result if isinstance(result, str) else "failed"] += 1
            if len(found) < self.batch:
                break
            behind = found[-1]  # a row whose command fails must not block the others
        return counts

    def _query(self, now_ms: int, behind: D | None) -> Callable[[Connection], Sequence[D]]:
        return lambda connection: self.sweep.find(connection, now_ms=now_ms, behind=behind, limit=self.batch)

    async def _carry_out(self, which: D, now_ms: int, slots: asyncio.Semaphore) -> str:
        async with slots:
            outcome = await self.execute(self.sweep.command(which, now_ms))
        if isinstance(outcome, Rejected):
            return "refused"
        return "elsewhere" if outcome.replayed else self.sweep.done
