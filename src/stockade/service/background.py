"""What must run beside a store: the purge of old requests, sweepers, the relay of events, and the application's jobs.

Every process may run all of it; the processes share the work and never do it twice. A stop lets the rounds that have
begun end, for `STOP_ROUND_S` seconds at most. An error is reported and the job goes on: the next round finds everything
as it was. Neighbours: `service` runs it, `jobs` repeats rounds, `relay` sends events.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table

from stockade.core.clock import now_ms
from stockade.service.job_log import JobLog
from stockade.service.jobs import Job, Report, ended, repeat
from stockade.service.purge import DAY_MS, EventPurge, Purge
from stockade.service.relay.relay import Policy
from stockade.service.relay.relaying import relaying
from stockade.service.relay.sinks import Sink
from stockade.service.sweeper import Execute, Sweep, Sweeper
from stockade.store import Database

_PURGE, _EVENT_PURGE = "purge", "purge events"
_OWN_JOBS = ("relay", _PURGE, _EVENT_PURGE)


@dataclass(frozen=True, slots=True)
class Background:
    """What a process runs beside its store.

    Attributes:
        sink: receives the events of the outbox; None: they stay there until a process with a sink sends them.
        sweeps: rows that become due, see `Sweep`.
        jobs: further jobs of the application.
        keep_ms: how long a request that changed nothing can be repeated with the same answer, in milliseconds: it was
            refused, or changed no guarded row, inserted no record and left no event. All others are kept.
        keep_events_ms: how long confirmed events stay in the outbox, in milliseconds; deleted only where there is a
            sink.
        keep_events_from: reads the id of an event: it and later ones stay in the outbox, because a job of the
            application has yet to read what follows; None, or None as its answer: there is no such job.
        purge_s: seconds between two purges.
        refusals: tables of the application with a record for each refused request, under its id: purged with it.
        policy: how often the relay tries; None: the defaults of `Policy`.
        wall_clock_ms: gives the wall clock, milliseconds since 1970.
        report: called after every round of every job; of the relay after each that failed, that had events, or that is
            the first good one after errors. None: `JobLog`, which writes to the standard library's logging.
    """

    sink: Sink | None = None
    sweeps: Sequence[Sweep[Any]] = ()
    jobs: Sequence[Job] = ()
    keep_ms: int = DAY_MS
    keep_events_ms: int = 7 * DAY_MS
    keep_events_from: Callable[[Connection], int | None] | None = None
    purge_s: float = 60.0
    refusals: Sequence[Table] = ()
    policy: Policy | None = None
    wall_clock_ms: Callable[[], int] = now_ms
    report: Report | None = None

    def __post_init__(self) -> None:
        if self.keep_ms < 0 or self.keep_events_ms < 0:
            raise ValueError("keep_ms and keep_events_ms must be 0 or more milliseconds")
        names = [*_OWN_JOBS, *(each.name for each in self.sweeps), *(each.name for each in self.jobs)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two jobs are named {', '.join(twice)}: give each a name of its own")

    @asynccontextmanager
    async def run(self, database: Database, execute: Execute) -> AsyncIterator[None]:
        """Run everything inside the block; its end ends the rounds that have begun, then the relay and its sink.

        Args:
            database: of the store.
            execute: carries out a command, e.g. `Service.execute` or the `execute` of a strategy.

        Raises:
            Busy: the database cannot be reached at the start.
        """
        report, stop = self.report or JobLog(), asyncio.Event()
        tasks: list[asyncio.Task[None]] = []
        async with AsyncExitStack() as stack:
            if self.sink is not None:
                await stack.enter_async_context(
                    relaying(database, self.sink, self.wall_clock_ms, report=report, policy=self.policy)
                )
            try:
                for job in self._all_jobs(database, execute):
                    work = repeat(job, stop, report)
                    tasks.append(asyncio.create_task(work, name=f"stockade-{job.name}"))
                yield
            finally:
                stop.set()
                await ended(tasks)

    def _all_jobs(self, database: Database, execute: Execute) -> list[Job]:
        jobs = [
            Job(each.name, Sweeper(each, database.read, execute, self.wall_clock_ms).once, each.pause_s)
            for each in self.sweeps
        ]
        purge = Purge(database.write, self.wall_clock_ms, self.keep_ms, tables=database.tables, refusals=self.refusals)
        jobs.append(Job(_PURGE, purge.once, self.purge_s))
        if self.sink is not None:
            events = EventPurge(database, self.wall_clock_ms, self.keep_events_ms, self.keep_events_from)
            jobs.append(Job(_EVENT_PURGE, events.once, self.purge_s))
        return [*jobs, *self.jobs]
