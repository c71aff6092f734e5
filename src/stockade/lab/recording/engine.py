"""Carries out one recording: servers, processes, load with faults, the final phase; the result is a `History`.

Neighbours: `plan.py` says what to record, `load.py` sends, `schedule.py` injects and heals, `final_phase.py` decides
what is open and reads the final state; `stockade.lab.checkers` judge the history.
"""

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

from stockade.core import Command, now_ms
from stockade.devservers.workdir import OwnedFolder
from stockade.lab.checkers.lateness import LATE
from stockade.lab.checkers.system.liveness import EACH, WINDOW_S, WINDOWS
from stockade.lab.errors import LabError
from stockade.lab.execution.processes.messages import QUEUED, REQUESTS, WAITING, OpenService
from stockade.lab.history.history import History, Phases
from stockade.lab.history.operation import REFUSED, FaultEvent
from stockade.lab.model.burst import Burst, RepeatNames
from stockade.lab.recording import schedule
from stockade.lab.recording.fault import Disturbed, undo_each_other
from stockade.lab.recording.final_phase import DECIDE_WAIT_S, FinalPhase
from stockade.lab.recording.load import MAX_CLIENTS, LoadGenerator
from stockade.lab.recording.load_control import OVERLOAD, LoadSettings
from stockade.lab.recording.plan import RecordingPlan
from stockade.lab.recording.recorder import Recorder, rare_collection
from stockade.lab.recording.sending import Sender
from stockade.lab.recording.servers import RecordingServers, open_servers
from stockade.lab.recording.service_processes import (
    SILENT_S,
    START_AGAIN_S,
    ServiceProcesses,
    running,
)
from stockade.lab.recording.watches.lateness import LatenessWatch
from stockade.lab.recording.watches.leftovers import NOT_FREE_LIMIT_S, WARM_UP_WAIT_S, LeftoverWatch
from stockade.lab.recording.watches.observation import Observe, Observed
from stockade.lab.reporting.checkout import local_version
from stockade.lab.reporting.environment import describe
from stockade.lab.runs.repeats import create_rows
from stockade.lab.site.site_servers import SiteServers
from stockade.lab.targets.target_database import PRIVATE, SQLITE, TargetDatabase
from stockade.lab.workloads.own import OwnWorkload

OVERLOADS: Final = ("overload", "small-pool")  # faults that multiply the clients
RATE_STEP_S: Final = 0.1
RATE_SHARE: Final = 0.85  # of the rate before the faults: a little more than a checker wants to see
HEALED_WAIT_S: Final = 45.0  # until every process serves again after the last healing
# For whoever ends a recording that takes too long: with less, a service that hangs would leave no history. Servers
# start and faults heal in the first part; then everything waits as long as it may for a process that does nothing.
LONGEST_S: Final = (
    90.0 + HEALED_WAIT_S + START_AGAIN_S + 3 * SILENT_S + 2 * DECIDE_WAIT_S + NOT_FREE_LIMIT_S + WARM_UP_WAIT_S
)
LEAST_HEALED_S: Final = WINDOWS * WINDOW_S + RATE_STEP_S


async def record(plan: RecordingPlan, servers: SiteServers | None = None, observe: Observe | None = None) -> History:
    """Carry out a recording.

    Args:
        plan: what to record.
        servers: keeps private servers from one recording to the next; None: they end with this one.
        observe: looks while the load runs; None: nobody does.

    Raises:
        LabError: it cannot be carried out: a server, a process or a fault.
    """
    local_version()  # read before the load: a commit that is made while it runs is not that of this code
    if plan.database in (SQLITE, *PRIVATE) and (why := impossible(plan, plan.database)):
        raise LabError(f"{plan.contender.name}: {why}")  # before servers are started for it
    async with open_servers(plan, servers) as opened:
        if why := impossible(plan, opened.target.name):
            raise LabError(f"{plan.contender.name}: {why}")
        return await _record(plan, opened, observe)


def impossible(plan: RecordingPlan, database: str) -> str:
    """Why the strategy, a fault or a combination of faults cannot be recorded on this database; empty: they can."""
    databases = plan.contender.guarantees.databases
    if ("mariadb" if database == "mysql" else database) not in databases:
        return f"runs on {', '.join(databases)}, not on {database}"
    if plan.contender.scheme:
        return "a way to pay through a gateway: for the presets payment-*"
    reasons = [(fault.name, fault.impossible(plan.contender.name, database)) for fault in plan.faults]
    return "; ".join([*(f"{name}: {why}" for name, why in reasons if why), *undo_each_other(plan.faults)])


async def _record(plan: RecordingPlan, opened: RecordingServers, observe: Observe | None) -> History:
    target, workers = opened.target, opened.workers
    names = RepeatNames(_run_name(plan, target), 0, 0, 0, now_ms())
    setup = tuple(plan.workload.setup(names))
    rows, requests = plan.workload.rows(names), plan.workload.requests(names, plan.seed)
    await _create_rows(plan, target, setup)
    recorder, load = Recorder(), _load_settings(plan)
    fault_points = any(fault.fault_points for fault in plan.faults)
    async with AsyncExitStack() as stack:
        file = await _events_file(target, stack)
        opening = OpenService(opened.config, fault_points, str(file or ""), warm=True)
        processes = await stack.enter_async_context(running("service", plan.processes, opening))
        sender = Sender(processes, recorder, load, rows)
        generator = LoadGenerator(requests, sender, load)
        final = FinalPhase(opened, setup, sender, recorder, processes, events=file)
        await final.begin()
        watch = LeftoverWatch(opened, processes, setup, _bounds(plan, load), 2 * plan.pool_size + 1)
        lateness = LatenessWatch((processes, workers))
        await watch.begin()
        log: list[FaultEvent] = []
        faults = _Faults(plan, _disturbed(plan, opened, processes, load), log)
        observing: AbstractAsyncContextManager[None] = nullcontext()
        if observe is not None:
            observing = observe(Observed(recorder, processes, opened.workers, log, target, rows))
        with rare_collection():
            async with watch.sampling(), lateness.watching(), observing:
                phases = await _run_load(generator, recorder, faults, watch, (processes, workers))
        _require_accepted(plan, recorder)
        if opened.site is not None and (why := await opened.site.restore()):
            log.append(FaultEvent(time.monotonic_ns(), "end of the load", "heal", why))
        await processes.restore()
        await workers.restore()
        state = await final.end(generator.offered, watch, plan.lease_s)
    await workers.close()  # after the services, and before what they have to say is noted
    noted = {name: [*found, *workers.noted()[name]] for name, found in processes.noted().items()}
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
        fault_log=tuple(log),
        final=replace(state, extra={**state.extra, **noted, LATE: lateness.found}),
    )


async def _events_file(target: TargetDatabase, stack: AsyncExitStack) -> Path | None:
    """Where relays write the events that they deliver; None: there are none, as they would take a user's events."""
    if not target.private:
        return None
    folder = await asyncio.to_thread(OwnedFolder, "events")
    stack.callback(folder.close)
    return folder.path / "events"


class _Faults(NamedTuple):
    """What the load is disturbed by.

    Attributes:
        plan: of the recording.
        disturbed: what faults may touch; None where all servers are the user's: there are no faults.
        log: gets what they did.
    """

    plan: RecordingPlan
    disturbed: Disturbed | None
    log: list[FaultEvent]

    @property
    def entries(self) -> Sequence[schedule.Entry]:
        """The schedule."""
        plan = self.plan
        if plan.schedule == "drawn":
            return schedule.drawn(plan.faults, plan.seconds, plan.seed, plan.every_s)
        return schedule.combined(plan.faults, plan.seconds, plan.seed)

    async def run(self, began_s: float) -> None:
        """Inject and heal them.

        Args:
            began_s: when the load began, on the monotonic clock in seconds.
        """
        if self.disturbed is not None:
            await schedule.run_schedule(self.entries, self.disturbed, self.log, began_s)


async def _create_rows(plan: RecordingPlan, target: TargetDatabase, setup: Sequence[Command]) -> None:
    """Make the rows of a workload.

    Raises:
        LabError: they cannot be made; that of a workload of a user's own names its file.
    """
    try:
        await create_rows(target, [Burst(tuple(setup), (), (), 0, 0)])
    except LabError as error:
        raise plan.workload.cannot_be_made(error) if isinstance(plan.workload, OwnWorkload) else error from None


def _require_accepted(plan: RecordingPlan, recorder: Recorder) -> None:
    """Refuse to judge a strategy by commands of a user's own none of which works: nothing was written.

    Raises:
        LabError: every command ended with an error that no strategy has, or was refused by the rules.
    """
    if not isinstance(plan.workload, OwnWorkload):
        return
    said = [answer for sent, _, answer in recorder.ended_since(0) if sent[3] is not None]
    failed = [each.unexpected for each in said if each.unexpected]
    refused = [each.code for each in said if each.type == REFUSED and not each.unexpected]
    if failed and len(failed) == len(said):
        raise plan.workload.nothing_decided(failed[0])
    if refused and len(failed) + len(refused) == len(said):
        raise plan.workload.nothing_accepted(refused, failed)


def _disturbed(
    plan: RecordingPlan, opened: RecordingServers, processes: ServiceProcesses, load: LoadSettings
) -> Disturbed | None:
    if opened.site is None:
        return None
    return Disturbed(
        opened.site,
        processes,
        opened.workers,
        load,
        random.Random(f"faults-{plan.seed}"),
        opened.target.name,
        plan.contender.name,
        plan.lease_s,
    )


def _run_name(plan: RecordingPlan, target: TargetDatabase) -> str:
    """Part of every id: the seed alone, so that equal seeds make equal requests, where no other recording has been."""
    return f"{plan.seed}" if target.private else f"{plan.seed}-{secrets.token_hex(4)}"


def _bounds(plan: RecordingPlan, load: LoadSettings) -> dict[str, int]:
    """What a process may have in its queues: those of the strategy have a bound of their own."""
    most = OVERLOAD if any(each.name in OVERLOADS for each in plan.faults) else 1
    at_once = 3 * min(MAX_CLIENTS, round(most * load.clients))  # a client sends a request twice, and reads
    return {QUEUED: plan.options.queue_size, REQUESTS: at_once, WAITING: at_once}


def _load_settings(plan: RecordingPlan) -> LoadSettings:
    usual = plan.workload.load
    return LoadSettings(
        seed=plan.seed,
        clients=plan.clients or usual.clients,
        rate=plan.rate,
        duplicate_share=usual.duplicate_share,
        wait_s=plan.deadline_s,
    )


async def _run_load(
    generator: LoadGenerator,
    recorder: Recorder,
    faults: _Faults,
    watch: LeftoverWatch,
    groups: Sequence[ServiceProcesses],
) -> Phases:
    """Warm, faults, healed."""
    plan, stop = faults.plan, asyncio.Event()
    warm_ns, began_s = time.monotonic_ns(), time.monotonic()
    async with _in_background(generator.run(stop)) as load:
        try:
            await asyncio.wait([load], timeout=plan.seconds * schedule.WARM_SHARE)
            if load.done():
                load.result()
            base = recorder.decided / (time.monotonic() - began_s)
            await watch.warmed()
            await faults.run(began_s)
            if plan.faults:
                await _all_serve(groups)
            healed_ns = time.monotonic_ns()
            await asyncio.wait([load], timeout=max(0.0, began_s + plan.seconds - time.monotonic()))
            if plan.faults:
                await _wait_for_rate(plan, recorder, healed_ns, base)
        finally:
            stop.set()
        await load
    faults_ns = warm_ns + int(plan.seconds * schedule.WARM_SHARE * 1e9)
    return Phases(warm_ns, faults_ns, healed_ns if plan.faults else faults_ns, time.monotonic_ns())


async def _all_serve(groups: Sequence[ServiceProcesses]) -> None:
    """Wait until every process serves: before that, nothing can be said about how quickly the service recovers.

    What has ended by itself or hangs is started anew: it is in the history, which is judged. So is one that does not
    serve within `HEALED_WAIT_S` seconds, by the end of the recording at the latest, where it is asked again.
    """
    deadline_s = time.monotonic() + HEALED_WAIT_S
    for group in groups:
        await group.start_failed()
    for group in groups:
        for number in range(group.count):
            await group.serves(number, deadline_s - time.monotonic())


async def _wait_for_rate(plan: RecordingPlan, recorder: Recorder, healed_ns: int, base: float) -> None:
    """Let the load go on until the rate is back, or until the time is over within which it must be.

    Args:
        plan: of the recording.
        recorder: counts decisions.
        healed_ns: when the last fault was healed, on the monotonic clock.
        base: decisions per second before the faults.
    """
    end_s = healed_ns / 1e9 + plan.recovery_s + WINDOWS * WINDOW_S
    counts = [(time.monotonic(), recorder.decided)]
    while (now_s := time.monotonic()) < end_s:
        await asyncio.sleep(RATE_STEP_S)
        now_s = time.monotonic()
        counts.append((now_s, recorder.decided))
        at = [
            max((each for each in counts if each[0] <= now_s - n * WINDOW_S), default=None) for n in range(WINDOWS + 1)
        ]
        if None in at or now_s - healed_ns / 1e9 <= LEAST_HEALED_S:
            continue
        pairs = [(late, early) for late, early in pairwise(at) if late and early]
        rates = [(late[1] - early[1]) / max(WINDOW_S, late[0] - early[0]) for late, early in pairs]
        if sum(rates) / WINDOWS >= RATE_SHARE * base and min(rates) >= EACH * base:
            return


@asynccontextmanager
async def _in_background(work: Any) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # retrieved, where an error of the block is raised instead
