"""Background jobs: rounds that repeat until the process stops, and reports of what each round did.

Neighbours: `purge`, `sweeper` and `relay` have the rounds, `background` runs them, `job_log` logs them.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from stockade.core.stopping import stopped_within

log = logging.getLogger(__name__)
T = TypeVar("T")
ROUND_LIMIT_S = 3_600.0  # by default: longer than the first round over a full database takes
STOP_ROUND_S = 2.0  # how long a stopping process waits for the rounds that are running
Counts = dict[str, int]


@dataclass(frozen=True, slots=True)
class Job:
    """Work that a process repeats.

    Attributes:
        name: in logs and reports.
        once: one round; returns what it did, by name. It must be safe beside the same job in other processes.
        pause_s: seconds between two rounds.
        limit_s: the longest that one round may take, in seconds; it is cancelled then, and reported as failed.
    """

    name: str
    once: Callable[[], Awaitable[Counts]]
    pause_s: float
    limit_s: float = ROUND_LIMIT_S

    def __post_init__(self) -> None:
        for name, value in (("pause_s", self.pause_s), ("limit_s", self.limit_s)):
            if value <= 0:
                raise ValueError(f"job {self.name}: {name} must be more than 0 seconds, not {value}")


@dataclass(frozen=True, slots=True)
class Round:
    """What one round of a job did.

    Attributes:
        job: its name.
        counts: what it did, by name; empty when it failed.
        error: why it failed; None when it did not.
    """

    job: str
    counts: Counts
    error: Exception | None = None


Report = Callable[[Round], None]


def tell(report: Callable[[T], None], what: T) -> None:
    """Report something; an error of the report is logged, because the job that it tells of goes on."""
    try:
        report(what)
    except Exception:
        log.exception("the report of a job failed; the job goes on: %r", what)


async def repeat(job: Job, stop: asyncio.Event, report: Report) -> None:
    """Run a job again and again until `stop` is set.

    Args:
        job: what to repeat; its pause is cut short by `stop`.
        stop: ends the job after the current round.
        report: called after every round, also after one that failed: the job goes on, because the database may be
            available again at the next round. An error of the report itself is logged.
    """
    while not stop.is_set():
        try:
            done = Round(job.name, await _once(job))
        except Exception as error:  # noqa: BLE001  reported
            done = Round(job.name, {}, error)
        tell(report, done)
        await stopped_within(stop, job.pause_s)


async def _once(job: Job) -> Counts:
    try:
        async with asyncio.timeout(job.limit_s) as limit:
            return await job.once()
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise TimeoutError(f"the round did not end within {job.limit_s:g} s") from error


async def ended(tasks: Sequence["asyncio.Task[None]"]) -> None:
    """Wait for the current rounds after their `stop` was set; cancel those that take longer than `STOP_ROUND_S`.

    The transaction of a cancelled round is rolled back, and the next process repeats the round.
    """
    if not tasks:
        return
    _, late = await asyncio.wait(tasks, timeout=STOP_ROUND_S)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
