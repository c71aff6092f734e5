"""One turn of a strategy at a point: warm up, an order alone, then the bursts that count.

The engine is that of a burst (`lab/execution`): child processes which a barrier starts together. The engine of
recordings is not used: it takes seconds to open and to close one load, and a sweep has thousands of turns; and its load
comes through pipes of the lab's process, which at more than 10,000 operations a second would be what is measured. Here
the buyers are tasks of the process that takes their orders, as under `stockade lab`.

A turn opens the strategy and closes it again. Two strategies are never open at once: an idle one has connections,
renewals and a registration, and the store refuses strategies that do not compose. Neighbours: `sweep.py` gives the
turns, `sample.py` is the result.
"""

import secrets
import statistics
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Final, NamedTuple, Self

from stockade.core import Stats, now_ms
from stockade.devservers.tcp_proxy import CLEAN, Conditions
from stockade.lab.execution.child_processes import ProcessSender
from stockade.lab.execution.command_log.log_worker import LogWorkerProgress
from stockade.lab.execution.command_log.log_workers import LogWorkers
from stockade.lab.execution.metered_database import ConnectionUse
from stockade.lab.execution.order_senders import SenderConfig, SendResult, stats_since
from stockade.lab.model.burst import Burst, RepeatNames
from stockade.lab.model.contender import Contender
from stockade.lab.model.preset import Variant
from stockade.lab.reporting.checked_repeat import CheckedRepeat
from stockade.lab.runs.repeats import check_repeat, create_rows
from stockade.lab.sweeps.analysis.statistics import inversions
from stockade.lab.sweeps.axes import Point, Setting
from stockade.lab.sweeps.plan import SweepPlan
from stockade.lab.sweeps.playing.burst import variant_of
from stockade.lab.sweeps.playing.processor_time import processor_ns, spent_ms
from stockade.lab.sweeps.playing.servers import DATABASE, KAFKA, REDIS, SweepServers
from stockade.lab.sweeps.sample import Resources, Sample
from stockade.lab.targets.redis_commands import commands_sent
from stockade.strategies.options import Options

ALONE: Final = 3  # orders that have everything for themselves, one after the other; their median counts
BURSTS: Final = 3  # that count, each with orders of its own: what disturbs one of them does not decide the round


class _Before(NamedTuple):
    """All counters before a burst."""

    service: dict[tuple[int, int], int] | None
    servers: dict[str, dict[tuple[int, int], int] | None]
    redis: int | None
    workers: list[LogWorkerProgress]


@dataclass(slots=True)
class _Open:
    """A strategy that is open."""

    sender: ProcessSender
    workers: LogWorkers | None


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

    async def play(self, point: Point, contender: Contender, number: int) -> list[Sample]:
        """Play one turn; a sample for each burst that counts.

        Args:
            point: where.
            contender: who.
            number: of the round; equal ones have equal orders.

        Raises:
            LabError: a process failed, ended or did not answer, or the rows cannot be made.
        """
        variant, setting = variant_of(self._plan.resource, point.setting), point.setting
        run, target = secrets.token_hex(4), self._servers.target
        warm, *timed = (self._workload(variant, run, (1 + BURSTS) * number + kind) for kind in range(1 + BURSTS))
        single = variant_of(self._plan.resource, replace(setting, buyers=1, keys=1))
        alone = [self._workload(single, f"{run}a", count) for count in range(ALONE)]
        await create_rows(target, [warm, *timed, *alone])
        if self._servers.link is not None:
            late = Conditions(latency_s=setting.latency / 2000)  # there and back
            self._servers.link.set_conditions(late if setting.latency else CLEAN)
        async with AsyncExitStack() as stack:
            opened = await self._open(stack, setting, contender)
            warmed = await opened.sender.send(warm.orders)
            lone = [await self._alone(opened.sender, each, single) for each in alone]
            bursts = [await self._burst(opened, contender, each) for each in timed]
        first = await check_repeat(target, variant, warm, warmed.responses, timed=False)
        rules = tuple(dict.fromkeys(each.rule for checked in (first, *lone) for each in checked.violations))
        alone_ms, found = baseline_ms(lone), list[Sample]()
        for burst, (workload, (result, used)) in enumerate(zip(timed, bursts, strict=True)):
            checked = await check_repeat(target, variant, workload, result.responses, timed=True)
            place = _Place(number, burst, alone_ms, () if burst else rules)
            found.append(_sample(place, checked, result, used))
        return found

    async def _burst(self, opened: _Open, contender: Contender, workload: Burst) -> "tuple[SendResult, _Used]":
        before = await self._before(opened, contender)
        result = await opened.sender.send(workload.orders)
        return result, await self._used(opened, contender, before, result)

    def _workload(self, variant: Variant, run: str, number: int) -> Burst:
        return variant.workload(RepeatNames(run, number, variant.buyers, 0, now_ms()))

    async def _alone(self, sender: ProcessSender, workload: Burst, variant: Variant) -> CheckedRepeat:
        """An order that has everything for itself."""
        result = await sender.send(workload.orders)
        return await check_repeat(self._servers.target, variant, workload, result.responses, timed=False)

    async def _open(self, stack: AsyncExitStack, setting: Setting, contender: Contender) -> _Open:
        sender, workers = self._sender(setting.processes), None
        url = self._servers.url(linked=setting.has_link)
        section_ms = setting.section if setting.has_section else None
        options = contender.options(Options(wait_s=self._plan.wait_s))
        if contender.redis_servers:
            urls = self._servers.redis_urls
            options = replace(options, redis=urls if contender.redis_servers > 1 else urls[:1])
        if contender.needs_kafka:
            workers = self._workers(setting.partitions)
            opening = workers.open_log(
                self._plan.app, url, self._servers.bootstrap, setting.pool, metered=True, section_ms=section_ms
            )
            options = replace(options, kafka=await stack.enter_async_context(opening))
        config = SenderConfig(url, contender.strategy, options, setting.pool, self._plan.app)
        await sender.prepare(replace(config, metered=True, section_ms=section_ms))
        stack.push_async_callback(sender.close_shop)
        return _Open(sender, workers)

    def _sender(self, processes: int) -> ProcessSender:
        if processes not in self._senders:
            self._senders[processes] = self._stack.enter_context(ProcessSender(processes))
        return self._senders[processes]

    def _workers(self, partitions: int) -> LogWorkers:
        if partitions not in self._log_workers:
            workers = LogWorkers(min(self._plan.workers, partitions), partitions)
            self._log_workers[partitions] = self._stack.enter_context(workers)
        return self._log_workers[partitions]

    async def _before(self, opened: _Open, contender: Contender) -> _Before:
        workers = await opened.workers.progress() if opened.workers else []
        redis = await self._redis_commands(contender)
        servers = {place: processor_ns(self._servers.pids(place)) for place in self._places(contender)}
        return _Before(processor_ns(_pids(opened)), servers, redis, workers)

    async def _used(self, opened: _Open, contender: Contender, before: _Before, result: SendResult) -> "_Used":
        service_ms = spent_ms(before.service, processor_ns(_pids(opened)))
        servers = {
            place: spent_ms(then, processor_ns(self._servers.pids(place))) for place, then in before.servers.items()
        }
        redis = await self._redis_commands(contender)
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


def _pids(opened: _Open) -> list[int]:
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
