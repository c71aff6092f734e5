"""Carries out one recording: servers, processes, load with faults, the final phase; the result is a `History`.

Neighbours: `plan.py` says what to record, `load.py` sends, `schedule.py` injects and heals, `final_phase.py` decides
what is open and reads the final state; `stockade.lab.checkers` judge the history.
"""

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from stockade.lab.errors import LabError
from stockade.lab.execution.order_senders import SenderConfig
from stockade.lab.history.history import History, Phases
from stockade.lab.history.operation import FaultEvent
from stockade.lab.model.workload import RepeatNames, Workload
from stockade.lab.recording import schedule
from stockade.lab.recording.command_log import open_command_log
from stockade.lab.recording.fault import LoadControl, Processes
from stockade.lab.recording.final_phase import FinalPhase
from stockade.lab.recording.load import LoadGenerator
from stockade.lab.recording.load_control import LoadSettings
from stockade.lab.recording.messages import OpenService
from stockade.lab.recording.plan import RecordingPlan
from stockade.lab.recording.recorder import Recorder
from stockade.lab.recording.sending import Sender
from stockade.lab.recording.service_processes import ServiceProcesses, running
from stockade.lab.reporting.environment import describe
from stockade.lab.runs.repeats import create_rows
from stockade.lab.targets.kafka_servers import open_kafka
from stockade.lab.targets.redis_servers import open_redis
from stockade.lab.targets.target_database import TargetDatabase, open_target_database
from stockade.service import find_application


@dataclass(slots=True)
class Touchable:
    """`fault.Disturbed` of one recording."""

    site: Any
    processes: Processes
    workers: Processes
    load: LoadControl
    rng: random.Random
    database: str
    strategy: str
    lease_s: float
    log: list[FaultEvent] = field(default_factory=list)

    def note(self, detail: str) -> None:
        """See `fault.Disturbed`: a detail of the last entry."""
        last = self.log[-1]
        self.log[-1] = last._replace(detail=f"{last.detail}; {detail}" if last.detail else detail)


async def record(plan: RecordingPlan) -> History:
    """Carry out a recording.

    Args:
        plan: what to record.

    Raises:
        LabError: it cannot be carried out: a server, a process or a fault.
    """
    application = find_application(plan.app)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        target = await enter(open_target_database(plan.database, plan.connections, application))
        if why := impossible(plan, target.name):
            raise LabError(f"{plan.contender.name}: {why}")
        config = SenderConfig(target.url, plan.contender.strategy, plan.options, plan.pool_size, plan.app)
        if plan.contender.redis_servers:
            redis = await enter(open_redis(plan.redis, plan.contender.redis_servers))
            if why := redis.why_not(plan.contender):
                raise LabError(f"{plan.contender.name}: {why}")
            config = replace(config, options=replace(config.options, redis=redis.urls_for(plan.contender)))
        workers = ServiceProcesses("log worker", 0, None)
        if plan.contender.needs_kafka:
            kafka = await enter(open_kafka(plan.kafka, wanted=True))
            if why := kafka.why_not(plan.contender):
                raise LabError(f"{plan.contender.name}: {why}")
            log = await enter(open_command_log(plan, target.url, kafka.bootstrap))
            workers, config = log.workers, replace(config, options=replace(config.options, kafka=log.options))
        return await _record(plan, target, config, workers, None)


def impossible(plan: RecordingPlan, database: str) -> str:
    """Why the strategy or a fault cannot be recorded on this database; empty: they can."""
    databases = plan.contender.guarantees.databases
    if ("mariadb" if database == "mysql" else database) not in databases:
        return f"runs on {', '.join(databases)}, not on {database}"
    if plan.contender.scheme:
        return "a way to pay through a gateway: for the presets payment-*"
    reasons = ((fault.name, fault.impossible(plan.contender.name, database)) for fault in plan.faults)
    return "; ".join(f"{name}: {why}" for name, why in reasons if why)


async def _record(
    plan: RecordingPlan, target: TargetDatabase, config: SenderConfig, workers: ServiceProcesses, site: Any
) -> History:
    names = RepeatNames(_run_name(plan, target), 0, 0, 0, time.time_ns() // 1_000_000)
    setup = tuple(plan.workload.setup(names))
    await create_rows(target, [Workload(setup, (), (), 0, 0)])
    recorder, load = Recorder(), _load_settings(plan)
    fault_points = any(fault.fault_points for fault in plan.faults)
    async with running("service", plan.processes, OpenService(config, fault_points)) as processes:
        sender = Sender(processes, recorder, load, plan.workload.rows(names))
        generator = LoadGenerator(plan.workload.requests(names, plan.seed), sender, load)
        final = FinalPhase(target, setup, sender, recorder, processes, workers)
        await final.begin()
        disturbed = Touchable(
            site,
            processes,
            workers,
            load,
            random.Random(f"faults-{plan.seed}"),
            target.name,
            plan.contender.name,
            plan.lease_s,
        )
        phases = await _run_load(plan, generator, disturbed)
        await processes.restore()
        await workers.restore()
        state = await final.end(generator.offered)
    return History(
        workload=plan.workload.name,
        strategy=plan.contender.name,
        database=target.name,
        faults=tuple(fault.name for fault in plan.faults),
        seed=plan.seed,
        settings=plan.settings,
        environment=await describe(target),
        phases=replace(phases, end_ns=time.monotonic_ns()),
        operations=recorder.operations(),
        fault_log=tuple(disturbed.log),
        final=state,
    )


def _run_name(plan: RecordingPlan, target: TargetDatabase) -> str:
    """Part of every id: the seed alone, so that equal seeds make equal requests, where no other recording has been."""
    return f"{plan.seed}" if target.private else f"{plan.seed}-{secrets.token_hex(4)}"


def _load_settings(plan: RecordingPlan) -> LoadSettings:
    usual = plan.workload.load
    return LoadSettings(
        seed=plan.seed,
        clients=plan.clients or usual.clients,
        rate=plan.rate,
        think_s=usual.think_s,
        retry_failed=usual.retry_failed,
        duplicate_share=usual.duplicate_share,
        wait_s=plan.wait_s,
    )


async def _run_load(plan: RecordingPlan, generator: LoadGenerator, disturbed: Touchable) -> Phases:
    """Warm, faults, healed; a workload that ends by itself ends it early, unless faults are still to come."""
    make = schedule.drawn if plan.schedule == "drawn" else schedule.combined
    arguments = (plan.every_s,) if plan.schedule == "drawn" else ()
    entries = make(plan.faults, plan.seconds, plan.seed, *arguments)
    stop = asyncio.Event()
    warm_ns, began_s = time.monotonic_ns(), time.monotonic()
    async with _in_background(generator.run(stop)) as load:
        try:
            await schedule.run_schedule(entries, disturbed, disturbed.log, began_s)
            healed_ns = time.monotonic_ns()
            left_s = began_s + plan.seconds - time.monotonic()
            await asyncio.wait([load], timeout=max(left_s, _least_healed_s(plan)))
        finally:
            stop.set()
        await load
    faults_ns = warm_ns + int(plan.seconds * schedule.WARM_SHARE * 1e9)
    return Phases(warm_ns, faults_ns, healed_ns if entries else faults_ns, time.monotonic_ns())


def _least_healed_s(plan: RecordingPlan) -> float:
    """How long the load goes on after the last healing, however late that was."""
    return plan.seconds * (1 - schedule.WARM_SHARE - schedule.FAULT_SHARE) if plan.faults else 0.0


@asynccontextmanager
async def _in_background(work: Any) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
