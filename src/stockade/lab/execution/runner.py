"""Plays a plan: for each arm and strategy the repeats, the checks after each, and the row they make.

Data flows one way: preset, commands, crew, answers, evidence, checks and audit, verdict, figures, observer.
Neighbours: `plan` says what, `ground` where, `crew` and `processes` who, `table` and `document` show the rows.
"""

import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Protocol

from stockade.core import Command, Guard, Stats
from stockade.kafka.options import KafkaOptions
from stockade.lab.checks import violations
from stockade.lab.errors import LabError
from stockade.lab.execution.contender import Entrant
from stockade.lab.execution.executors import Crew, Team, at_work
from stockade.lab.execution.load import Shot
from stockade.lab.execution.log_meter import LogMeter
from stockade.lab.execution.log_workers import Deciders
from stockade.lab.execution.plan import WARM_UPS, Plan, choose
from stockade.lab.execution.processes import ProcessCrew
from stockade.lab.execution.repeat_result import Trial
from stockade.lab.execution.run_audit import audit_run
from stockade.lab.execution.snapshot import collect
from stockade.lab.preset import Arm, Scene
from stockade.lab.repeat_names import Stage
from stockade.lab.reporting.summary import Measured, Run, Subject, summarise
from stockade.lab.reporting.verdict import Observed, judge
from stockade.lab.targets.kafka_servers import Brokers
from stockade.lab.targets.redis_servers import RedisServers
from stockade.lab.targets.target_database import Ground
from stockade.shop.model.resources import SHOP_RESOURCES
from stockade.store import SqlStore
from stockade.strategies.options import Options

SETUP_BATCH = 200
SETUP_WAIT_S = 60.0


class Observer(Protocol):
    """Who is told while the lab runs."""

    def arm(self, name: str, arm: Arm, ground: Ground) -> None:
        """An arm begins."""

    def progress(self, strategy: str, done: int, total: int) -> None:
        """So many repeats of a strategy are done, warm-up included."""

    def row(self, run: Run) -> None:
        """A strategy is finished."""

    def left_out(self, strategy: str, reason: str) -> None:
        """A strategy does not run on this arm."""


class Runner:
    """Plays a plan on a ground.

    Args:
        plan: what to do.
        ground: where.
        redis: what the lock strategies lock in.
        observer: is told of every step.
        brokers: where a log is; None: nowhere.
    """

    def __init__(
        self, plan: Plan, ground: Ground, redis: RedisServers, observer: Observer, brokers: Brokers | None = None
    ) -> None:
        self._plan, self._ground, self._redis, self._observer = plan, ground, redis, observer
        self._brokers = brokers or Brokers()

    async def play(self) -> list[Run]:
        """Run everything that the plan names, in its order.

        Raises:
            LabError: a strategy or a figure of the plan that cannot be; a worker process that ended.
        """
        plan, rows = self._plan, list[Run]()
        async with AsyncExitStack() as stack:
            processes = stack.enter_context(ProcessCrew(plan.processes)) if plan.processes > 1 else None
            deciders = stack.enter_context(Deciders(plan.workers, plan.partitions))
            for name, arm in plan.arms:
                self._observer.arm(name, arm, self._ground)
                choice = choose(arm, plan.entrants, self._ground.name, self._redis, self._brokers)
                for left_out, reason in choice.left_out:
                    self._observer.left_out(left_out, reason)
                for entrant in choice.run:
                    async with (
                        self._at_log(entrant, deciders) as log,
                        _crew(processes, self._team(arm, entrant, log)) as crew,
                    ):
                        meter = LogMeter(crew, deciders, self._ground, WARM_UPS) if log else None
                        rows.append(await self._run(name, arm, entrant, crew, meter))
                    self._observer.row(rows[-1])
        return rows

    def _at_log(self, entrant: Entrant, deciders: Deciders) -> AbstractAsyncContextManager[KafkaOptions | None]:
        if not entrant.over_log:
            return nullcontext()
        return deciders.at_log(self._ground.url, self._brokers.bootstrap, self._plan.pool_size)

    def _team(self, arm: Arm, entrant: Entrant, log: KafkaOptions | None) -> Team:
        options = entrant.options(
            Options(wait_s=self._plan.wait_s, keep_request_order=arm.keep_request_order, kafka=log)
        )
        if entrant.redis_servers:
            options = replace(options, redis=self._redis.urls_for(entrant))
        return Team(self._ground.url, entrant.strategy, options, self._plan.pool_size)

    async def _run(self, name: str, arm: Arm, entrant: Entrant, crew: Crew, meter: LogMeter | None) -> Run:
        plan = self._plan
        plays = [meter.decide, meter.accept] if meter else [crew.play]  # kinds of repeats, in turn; the first is timed
        buyers, stock = either(plan.buyers, arm.buyers), either(plan.stock, arm.stock)
        scenes = make_scenes(arm, buyers, stock, len(plays) * (WARM_UPS + either(plan.repeats, arm.repeats)))
        self._observer.progress(entrant.name, 0, len(scenes))
        await prepare(self._ground, scenes)
        measured: list[Measured] = []
        effort = Stats()
        for number, scene in enumerate(scenes):
            turn, kind = divmod(number, len(plays))
            played = await plays[kind](scene.orders)
            effort.add(played.effort)
            timed = turn >= WARM_UPS and kind == 0
            measured.append(await examine(self._ground, arm, scene, played.shots, timed=timed))
            self._observer.progress(entrant.name, number + 1, len(scenes))
        await examine_whole(self._ground, scenes, measured)
        judgement = judge(entrant.guarantees, _observed(plan, arm, entrant, measured, effort.deadlocks))
        subject = Subject(name, entrant.name, self._ground.name, plan.processes, buyers, stock)
        run = summarise(subject, measured, effort, judgement, arm.published_ms.get(entrant.name))
        if meter is None:
            return run
        # the transactions of one kind of repeats were counted, over the orders of both
        attempts = run.attempts_per_order * len(plays)
        return replace(run, log=meter.figures(), attempts_per_order=attempts)


@asynccontextmanager
async def _crew(processes: ProcessCrew | None, team: Team) -> AsyncIterator[Crew]:
    if processes:
        await processes.prepare(team)
        yield processes
    else:
        async with at_work(team) as worker:
            yield worker


def make_scenes(arm: Arm, buyers: int, stock: int, count: int) -> list[Scene]:
    """So many repeats of an arm, each with names of its own.

    Raises:
        LabError: figures that the arm cannot have.
    """
    run = secrets.token_hex(4)
    now_ms = time.time_ns() // 1_000_000
    try:
        return [arm.scene(Stage(run, repeat, buyers, stock, now_ms)) for repeat in range(count)]
    except ValueError as error:
        raise LabError(str(error)) from error


async def prepare(ground: Ground, scenes: Sequence[Scene]) -> None:
    """Make the rows of all repeats in a few transactions, before anything is timed.

    Raises:
        LabError: they cannot be made.
    """
    store = SqlStore(ground.control, SHOP_RESOURCES)
    commands: list[Command] = [command for scene in scenes for command in scene.setup]
    for at in range(0, len(commands), SETUP_BATCH):
        deadline = time.monotonic() + SETUP_WAIT_S
        for outcome in await store.transact(commands[at : at + SETUP_BATCH], Guard.ROW, deadline=deadline):
            if isinstance(outcome, Exception):
                raise LabError(f"the rows of the preset cannot be made: {outcome}") from outcome
            if not outcome.accepted:
                raise LabError(f"the rows of the preset cannot be made: {outcome}")


async def examine(ground: Ground, arm: Arm, scene: Scene, shots: Sequence[Shot], *, timed: bool) -> Measured:
    """Hold the answers of a repeat against what the database says."""
    evidence = await ground.control.read(partial(collect, scene=scene))
    trial = Trial(scene, arm.refusal, tuple(shots), evidence)
    return Measured.of(trial, violations(trial), timed=timed)


async def examine_whole(ground: Ground, scenes: Sequence[Scene], measured: list[Measured]) -> None:
    """Audit a run that no repeat has broken; what is found is its last repeat's."""
    if ground.own and not any(repeat.violations for repeat in measured):
        found = await audit_run(ground, scenes)
        measured[-1] = replace(measured[-1], violations=tuple(found))


def _observed(plan: Plan, arm: Arm, entrant: Entrant, measured: Sequence[Measured], deadlocks: int) -> Observed:
    # Under SERIALIZABLE the database itself resolves conflicts by deadlock victims (InnoDB): not the rows' order
    ordered = arm.deadlocks != "none" or entrant.strategy != "serializable"
    return Observed(
        processes=plan.processes,
        repeats=len(measured),
        broken=sum(1 for repeat in measured if repeat.violations),
        short=sum(1 for repeat in measured if repeat.accepted < repeat.right_accepted),
        deadlocks=deadlocks,
        bites=arm.bites,
        wanted_deadlocks=arm.deadlocks if ordered else "any",
    )


def either(chosen: int | None, usual: int) -> int:
    """The user's figure, else the usual one."""
    return usual if chosen is None else chosen
