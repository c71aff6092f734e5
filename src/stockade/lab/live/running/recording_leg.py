"""One control under load for some seconds, with a fault: a recording that is looked at every quarter of a second.

The checkers judge the whole history at the end. One rule is watched meanwhile, because it needs no history: a version
of a row that two requests were given is a lost update. Neighbours: `lab/recording/` records, `main.py` calls this.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from itertools import islice
from typing import Final

from sqlalchemy import Connection

from stockade.core import Busy, Key
from stockade.lab.errors import LabError
from stockade.lab.execution.processes.messages import REQUESTS, Count
from stockade.lab.history.operation import FAILED, OK, REFUSED, UNKNOWN
from stockade.lab.live.plan import LivePlan, recording_plan
from stockade.lab.live.running.burst_leg import Show
from stockade.lab.live.running.figures import Point, Sums, per_transaction, percentile
from stockade.lab.recording.engine import record
from stockade.lab.recording.final_reads import read_rows
from stockade.lab.recording.recorder import Ended
from stockade.lab.recording.watches.observation import Observed
from stockade.lab.ring.summary import RecordingSummary, summarise
from stockade.lab.runs.repeats import fresh_names
from stockade.lab.site.site_servers import SiteServers
from stockade.lab.workloads.workload import Workload
from stockade.service import Application
from stockade.shop.commands import AdjustStock, ChargePoints

EVERY_S: Final = 0.25
COUNT_WAIT_S: Final = 0.5  # a process that a fault has stopped does not answer
MOST_ROWS: Final = 40  # of which the free units are summed
LOOKED_AT: Final = 300  # requests of a workload, to see whether anything comes in
MOST_VERSIONS: Final = 200_000  # that are remembered, the newest
MOST_LATENCIES: Final = 200_000  # that the sums are made of, the newest
TWICE: Final = "version-given-twice"


class Watch:
    """Looks at one recording.

    Args:
        sums: of the leg; they grow.
        show: called with every point.
        ended: called when the load has ended; the final phase and the checkers follow.
        reads_left: whether to ask the database what is left; it says nothing where deliveries come in.
    """

    def __init__(self, sums: Sums, show: Show, ended: Callable[[], None], *, reads_left: bool = True) -> None:
        self._reads_left = reads_left
        self._sums, self._show, self._ended = sums, show, ended
        self._seen = self._open = self._twice = 0
        self._first = ""  # version that was given twice, in words
        self._versions: dict[tuple[str, int], str] = {}
        self._latencies = deque[float](maxlen=MOST_LATENCIES)
        self._before: dict[str, int] = {}  # transactions, by process
        self._transactions = 0
        self._counted: int | None = None  # transactions since the last look; None: not asked for since
        self._began_s = self._last_s = 0.0

    @asynccontextmanager
    async def observing(self, observed: Observed) -> AsyncIterator[None]:
        """Look inside the block; see `watches.observation.Observe`."""
        self._began_s = self._last_s = time.monotonic()
        task = asyncio.create_task(self._watch(observed))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.result()
            self._look(observed, self._sums.left)
            self._ended()

    async def _watch(self, observed: Observed) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            await self._count(observed)
            self._look(observed, await self._left(observed))

    def _look(self, observed: Observed, left: int | None) -> None:
        now_s = time.monotonic()
        ended = observed.recorder.ended_since(self._seen)
        self._seen += len(ended)
        point = Point(x=now_s - self._began_s, waiting=self._open, left=left)
        latencies: list[float] = []
        for each in ended:
            self._add(each, point, latencies)
        latencies.sort()
        point.rate = (point.accepted + point.refused) / max(1e-3, now_s - self._last_s)
        point.p50_ms, point.p95_ms = percentile(latencies, 0.5), percentile(latencies, 0.95)
        self._last_s = now_s
        self._sum(observed, point, latencies, now_s)
        self._relate(point)
        self._show(point, self._sums)

    def _relate(self, point: Point) -> None:
        """Relate what was decided to the transactions; what is decided after the last count has none to relate to."""
        if self._counted is None:
            return
        self._transactions += self._counted
        point.batch = per_transaction(point.accepted + point.refused, self._counted)
        self._sums.batch = per_transaction(self._sums.accepted + self._sums.refused, self._transactions)
        self._counted = None

    def _add(self, ended: Ended, point: Point, latencies: list[float]) -> None:
        sent, return_ns, answer = ended
        if (command := sent[3]) is None:  # a read
            return
        latencies.append((return_ns - sent[7]) / 1e6)
        if answer.type == OK:
            point.accepted += 1
            if not answer.replayed:
                self._note_versions(command.request_id, answer.versions)
        point.refused += answer.type == REFUSED
        point.failed += answer.type == FAILED
        point.unknown += answer.type == UNKNOWN

    def _note_versions(self, request_id: str, versions: Mapping[str, int]) -> None:
        for row, version in versions.items():
            before = self._versions.setdefault((row, version), request_id)
            if before != request_id:
                self._twice += 1
                self._first = self._first or f"{row} was given version {version} by two requests: one of them is lost"
        while len(self._versions) > MOST_VERSIONS:
            del self._versions[next(iter(self._versions))]

    def _sum(self, observed: Observed, point: Point, latencies: list[float], now_s: float) -> None:
        sums = self._sums
        sums.accepted += point.accepted
        sums.refused += point.refused
        sums.failed += point.failed
        sums.unknown += point.unknown
        self._latencies.extend(latencies)
        sums.rate = (sums.accepted + sums.refused) / max(1e-3, now_s - self._began_s)
        sums.left = point.left
        sums.faults = [
            (round(each.at_ns / 1e9 - self._began_s, 2), each.fault, each.action, each.detail)
            for each in observed.fault_log
        ]
        point.twice = sums.twice = self._twice

    def finish(self, summary: RecordingSummary) -> None:
        """Percentiles over the whole load, and what the checkers found; if that is nothing, what was seen meanwhile.

        Args:
            summary: of the checkers.
        """
        ordered = sorted(self._latencies)
        sums = self._sums
        sums.p50_ms, sums.p95_ms, sums.p99_ms = (percentile(ordered, share) for share in (0.5, 0.95, 0.99))
        sums.rate = summary.rate
        if summary.first is not None:
            sums.violations, sums.detail = dict(summary.violations), f"{summary.first.rule}: {summary.first.detail}"
        elif self._twice:
            sums.note(TWICE, self._first, self._twice)

    async def _count(self, observed: Observed) -> None:
        """Ask every process what waits in it, and how many transactions it has begun."""
        processes = [*observed.processes.processes, *observed.workers.processes]
        asked = [process.ask(Count(), COUNT_WAIT_S) for process in processes]
        found = await asyncio.gather(*asked, return_exceptions=True)
        begun = opened = 0
        for process, counters in zip(processes, found, strict=True):
            if isinstance(counters, LabError):  # a fault has stopped or killed it
                continue
            if isinstance(counters, BaseException):
                raise counters
            opened += max(0, counters.held.get(REQUESTS, 0))
            before, now = self._before.get(process.name, 0), counters.stats.get("transactions", 0)
            begun += now if now < before else now - before  # less than before: it was started again
            self._before[process.name] = now
        self._open, self._counted = opened, begun

    async def _left(self, observed: Observed) -> int | None:
        """What is free in the rows that many requests share; None where the database does not answer now."""
        keys = [key for key in observed.rows if key.kind == observed.rows[0].kind][:MOST_ROWS]
        if not keys or not self._reads_left:
            return None
        with suppress(Busy):  # a fault has stopped it
            return await observed.target.admin_database.read(
                partial(_free, application=observed.target.application, keys=keys), timeout_s=COUNT_WAIT_S
            )
        return None


def refilled(workload: Workload) -> bool:
    """Whether stock is delivered, or points are charged, among the first requests of a workload."""
    sent = islice(workload.requests(fresh_names(0, 0), 0), LOOKED_AT)
    return any(isinstance(each.command, (AdjustStock, ChargePoints)) for each in sent)


def _free(connection: Connection, application: Application, keys: list[Key]) -> int:
    return sum(int(row.amount) - int(row.held) for row in read_rows(connection, application, keys))


async def play_recording(
    plan: LivePlan, control: str, servers: SiteServers | None, show: Show, ended: Callable[[], None]
) -> tuple[Sums, RecordingSummary]:
    """One recording and its judgement.

    Args:
        plan: of the run.
        control: name of a contender.
        servers: keep private servers from one control to the next; None: each has its own.
        show: called every `EVERY_S`.
        ended: called when the load has ended.

    Raises:
        LabError: it cannot be carried out.
    """
    recording, sums = recording_plan(plan, control), Sums()
    watch = Watch(sums, show, ended, reads_left=not refilled(recording.workload))
    history = await record(recording, servers, watch.observing)
    summary = await asyncio.to_thread(summarise, recording, history)
    watch.finish(summary)
    return sums, summary
