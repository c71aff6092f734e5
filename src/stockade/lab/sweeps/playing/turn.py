"""One turn of a strategy at a point: warm up, an order alone, then the bursts that count.

The engine is that of a burst (`lab/execution`): processes that begin together. The engine of recordings is not used: it
takes seconds to open and to close one load, and a sweep has thousands of turns; and its load comes through sockets of
the lab's process, which at more than 10,000 operations a second would be what is measured. Here the buyers are tasks of
the process that takes their orders, as under `stockade lab`.

A strategy is opened once for the points that need no other opening, and closed again. Two strategies are never open at
once: an idle one has connections, renewals and a registration, and the store refuses strategies that do not compose.
Neighbours: `sweep.py` gives the turns, `sample.py` is the result.
"""

import secrets
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Final, NamedTuple, Self

from stockade.core import Stats, now_ms
from stockade.devservers.tcp_proxy import CLEAN, Conditions
from stockade.lab.execution.command_log.log_worker import LogWorkerProgress
from stockade.lab.execution.command_log.log_workers import LogWorkers
from stockade.lab.execution.metered_database import ConnectionUse
from stockade.lab.execution.order_processes import ProcessSender
from stockade.lab.execution.order_senders import SenderConfig, SendResult, stats_since
from stockade.lab.model.burst import Burst, RepeatNames
from stockade.lab.model.contender import Contender
from stockade.lab.model.preset import Variant
from stockade.lab.reporting.checked_repeat import CheckedRepeat
from stockade.lab.runs.repeats import check_repeat, create_rows
from stockade.lab.sweeps.analysis.statistics import inversions
from stockade.lab.sweeps.axes import Point, Setting
from stockade.lab.sweeps.plan import BURSTS, SweepPlan
from stockade.lab.sweeps.playing.burst import variant_of
from stockade.lab.sweeps.playing.processor_time import processor_ns, spent_ms
from stockade.lab.sweeps.playing.servers import DATABASE, KAFKA, REDIS, SweepServers
from stockade.lab.sweeps.sample import Resources, Sample
from stockade.lab.targets.redis_commands import commands_sent
from stockade.strategies.options import Options

ALONE: Final = 3  # orders that have everything for themselves, one after the other; their median counts


class _Before(NamedTuple):
    """All counters before a burst."""

    service: dict[tuple[int, int], int] | None
    servers: dict[str, dict[tuple[int, int], int] | None]
    redis: int | None
    workers: list[LogWorkerProgress]


@dataclass(slots=True)
class Opened:
    """A strategy that is open.

    Attributes:
        contender: who.
        sender: its processes.
        workers: that decide, of a strategy over a log.
        alone: by the lateness of the database's answers, what orders showed that had everything for themselves.
    """

    contender: Contender
    sender: ProcessSender
    workers: LogWorkers | None
    alone: dict[float, "_Alone"] = field(default_factory=dict)


class _Alone(NamedTuple):
    """How long an order takes that has everything for itself, in ms, and which rules such orders broke."""

    ms: float | None
    rules: tuple[str, ...]


class TurnPlayer:
    """Plays turns; a context manager that ends its processes.

    Args:
        plan: of the sweep.
        servers: that are open.
    """

    def __init__(self, plan: SweepPlan, servers: SweepServers) -> None:
        self._plan, self._servers = plan, servers
        self._stack = AsyncExitStack()
        self._senders: dict[int, ProcessSender] = {}
        self._log_workers: dict[int, LogWorkers] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def play(self, opened: Opened, point: Point, number: int) -> list[Sample]:
        """Play one turn; a sample for each burst that counts, at least one.

        Args:
            opened: who, with the opening of the point.
            point: where.
            number: of the round; equal ones have equal orders.

        Raises:
            LabError: a process failed, ended or did not answer, or the rows cannot be made.
        """
        variant, began_s = variant_of(self._plan.resource, point.setting), time.monotonic()
        run, target = secrets.token_hex(4), self._servers.target
        warm, *timed = (self._workload(variant, run, (1 + BURSTS) * number + kind) for kind in range(1 + BURSTS))
        await create_rows(target, [warm, *timed])
        if self._servers.link is not None:
            late = Conditions(latency_s=point.setting.latency / 2000)  # there and back
            self._servers.link.set_conditions(late if point.setting.latency else CLEAN)
        warmed = await opened.sender.send(warm.orders)
        alone = await self._alone(opened, point.setting, run)
        bursts = list[tuple[Burst, SendResult, _Used]]()
        for workload in timed:
            if not bursts or time.monotonic() - began_s < self._plan.turn_s:
                bursts.append(await self._burst(opened, workload))
        first = await check_repeat(target, variant, warm, warmed.responses, timed=False)
        rules, found = (*(each.rule for each in first.violations), *alone.rules), list[Sample]()
        for burst, (workload, result, used) in enumerate(bursts):
            checked = await check_repeat(target, variant, workload, result.responses, timed=True)
            place = _Place(number, burst, alone.ms, () if burst else tuple(dict.fromkeys(rules)))
            found.append(_sample(place, checked, result, used))
        return found

    async def _burst(self, opened: Opened, workload: Burst) -> "tuple[Burst, SendResult, _Used]":
        before = await self._before(opened)
        result = await opened.sender.send(workload.orders)
        return workload, result, await self._used(opened, before, result)

    def _workload(self, variant: Variant, run: str, number: int) -> Burst:
        return variant.workload(RepeatNames(run, number, variant.buyers, 0, now_ms()))

    async def _alone(self, opened: Opened, setting: Setting, run: str) -> _Alone:
        """Orders that have everything for themselves, once in an opening for each lateness of answers.

        They share nothing, so it does not matter how many buyers and rows the point has.
        """
        if setting.latency not in opened.alone:
            variant, target = variant_of(self._plan.resource, replace(setting, buyers=1, keys=1)), self._servers.target
            workloads, lone = [self._workload(variant, f"{run}a", count) for count in range(ALONE)], []
            await create_rows(target, workloads)
            for workload in workloads:
                result = await opened.sender.send(workload.orders)
                lone.append(await check_repeat(target, variant, workload, result.responses, timed=False))
            rules = tuple(each.rule for checked in lone for each in checked.violations)
            opened.alone[setting.latency] = _Alone(baseline_ms(lone), rules)
        return opened.alone[setting.latency]

    @asynccontextmanager
    async def open(self, setting: Setting, contender: Contender) -> AsyncIterator[Opened]:
        """Open a strategy for all points of one opening; it is closed at the end of the block.

        Args:
            setting: of any of them.
            contender: who.

        Raises:
            LabError: it cannot be opened.
        """
        async with AsyncExitStack() as stack:
            yield await self._open(stack, setting, contender)

    async def _open(self, stack: AsyncExitStack, setting: Setting, contender: Contender) -> Opened:
        sender, workers = await self._sender(setting.processes), None
        url = self._servers.url(linked=setting.has_link)
        section_ms = setting.section if setting.has_section else None
        options = contender.options(Options(wait_s=self._plan.wait_s))
        if contender.redis_servers:
            urls = self._servers.redis_urls
            options = replace(options, redis=urls if contender.redis_servers > 1 else urls[:1])
        if contender.needs_kafka:
            workers = await self._workers(setting.partitions)
            opening = workers.open_log(
                self._plan.app, url, self._servers.bootstrap, setting.pool, metered=True, section_ms=section_ms
            )
            options = replace(options, kafka=await stack.enter_async_context(opening))
        config = SenderConfig(url, contender.strategy, options, setting.pool, self._plan.app)
        await sender.prepare(replace(config, metered=True, section_ms=section_ms))
        stack.push_async_callback(sender.close_shop)
        return Opened(contender, sender, workers)

    async def _sender(self, processes: int) -> ProcessSender:
        if processes not in self._senders:
            self._senders[processes] = await self._stack.enter_async_context(ProcessSender(processes))
        return self._senders[processes]

    async def _workers(self, partitions: int) -> LogWorkers:
        if partitions not in self._log_workers:
            workers = LogWorkers(min(self._plan.workers, partitions), partitions)
            self._log_workers[partitions] = await self._stack.enter_async_context(workers)
        return self._log_workers[partitions]

    async def _before(self, opened: Opened) -> _Before:
        workers = await opened.workers.progress() if opened.workers else []
        redis = await self._redis_commands(opened.contender)
        servers = {place: processor_ns(self._servers.pids(place)) for place in self._places(opened.contender)}
        return _Before(processor_ns(_pids(opened)), servers, redis, workers)

    async def _used(self, opened: Opened, before: _Before, result: SendResult) -> "_Used":
        service_ms = spent_ms(before.service, processor_ns(_pids(opened)))
        servers = {
            place: spent_ms(then, processor_ns(self._servers.pids(place))) for place, then in before.servers.items()
        }
        redis = await self._redis_commands(opened.contender)
        commands = redis - before.redis if redis is not None and before.redis is not None else None
        stats, connections = Stats(**result.stats.as_dict()), result.connections or ConnectionUse()
        if opened.workers:
            for then, now in zip(before.workers, await opened.workers.progress(), strict=True):
                stats.add(stats_since(then.stats, now.stats))
                connections += now.connections - then.connections
        return _Used(stats, connections, service_ms, servers, commands)

    def _places(self, contender: Contender) -> list[str]:
        """Where private servers work for a contender."""
        needed = {DATABASE, *contender.guarantees.needs}
        return [place for place in (DATABASE, REDIS, KAFKA) if place in needed and self._servers.pids(place)]

    async def _redis_commands(self, contender: Contender) -> int | None:
        if not contender.redis_servers:
            return None
        used = self._servers.redis if contender.redis_servers > 1 else self._servers.redis[:1]
        return sum([await commands_sent(each) for each in used])


class _Used(NamedTuple):
    """What a burst used."""

    stats: Stats
    connections: ConnectionUse
    service_ms: float | None
    servers: dict[str, float | None]
    redis_commands: int | None


def _pids(opened: Opened) -> list[int]:
    return [*opened.sender.pids, *(opened.workers.pids if opened.workers else [])]


class _Place(NamedTuple):
    """Which burst it is, how long an order alone took before, and which rules were broken until then."""

    round: int
    burst: int
    alone_ms: float | None
    untimed_violations: tuple[str, ...]


def baseline_ms(lone: Sequence[CheckedRepeat]) -> float | None:
    """How long an order takes that has everything for itself: the median, in milliseconds.

    Args:
        lone: orders that were sent one after the other; None if one was not accepted: how long it waited says nothing.
    """
    if any(each.accepted < each.expected_accepted for each in lone):
        return None
    return statistics.median(each.wall_ms for each in lone)


def _sample(place: _Place, checked: CheckedRepeat, result: SendResult, used: _Used) -> Sample:
    latencies, alone_ms = sorted(checked.latencies_ms), place.alone_ms
    resources = Resources(
        transactions=used.stats.transactions,
        deadlocks=used.stats.deadlocks,
        connection_ms=used.connections.held_s * 1e3,
        pool_wait_ms=used.connections.waited_s * 1e3,
        blocked_ms=None if alone_ms is None else sum(max(0.0, each - alone_ms) for each in latencies),
        redis_commands=used.redis_commands,
        service_cpu_ms=used.service_ms,
        database_cpu_ms=used.servers.get(DATABASE),
        redis_cpu_ms=used.servers.get(REDIS),
        kafka_cpu_ms=used.servers.get(KAFKA),
    )
    return Sample(
        round=place.round,
        burst=place.burst,
        wall_ms=checked.wall_ms,
        alone_ms=alone_ms,
        accepted=checked.accepted,
        rejected=checked.rejected,
        failed=checked.failed,
        latencies_ms=tuple(latencies),
        inversions=inversions([(each.began_ns, each.ended_ns) for each in result.responses]),
        violations=tuple(dict.fromkeys(each.rule for each in checked.violations)),
        resources=resources,
        expected=checked.expected_accepted,
        untimed_violations=place.untimed_violations,
    )
