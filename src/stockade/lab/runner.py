"""Plays a plan: for each arm and strategy the repeats, the checks after each, and the row they make.

Data flows one way: preset -> commands -> crew -> answers -> evidence -> checks -> figures -> verdict -> observer.
Neighbours: `plan` says what, `ground` where, `crew` and `processes` who, `table` and `document` show the rows.
"""

import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Protocol

from stockade.core import Command, Guard, Stats
from stockade.lab.checks import violations
from stockade.lab.crew import Crew, Team, at_work
from stockade.lab.errors import LabError
from stockade.lab.evidence import collect
from stockade.lab.figures import Measured, Run, Subject, summarise
from stockade.lab.ground import Ground
from stockade.lab.plan import WARM_UPS, Plan, choose
from stockade.lab.preset import Arm, Scene
from stockade.lab.processes import ProcessCrew
from stockade.lab.stage import Stage
from stockade.lab.trial import Trial
from stockade.lab.verdict import Observed, judge
from stockade.shop.resources import SHOP_RESOURCES
from stockade.store import SqlStore
from stockade.strategies import registry

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


async def play(plan: Plan, ground: Ground, observer: Observer) -> list[Run]:
    """Run everything that the plan names, in its order.

    Raises:
        LabError: a strategy or a figure of the plan that cannot be; a worker process that ended.
    """
    rows: list[Run] = []
    async with AsyncExitStack() as stack:
        processes = stack.enter_context(ProcessCrew(plan.processes)) if plan.processes > 1 else None
        for name, arm in plan.arms:
            observer.arm(name, arm, ground)
            choice = choose(arm, plan.strategies, ground.name)
            for strategy, reason in choice.left_out:
                observer.left_out(strategy, reason)
            for strategy in choice.run:
                team = Team(ground.url, strategy, plan.pool_size, plan.wait_s, arm.unsorted)
                async with _crew(processes, team) as crew:
                    rows.append(await _run(plan, name, arm, ground, strategy, crew, observer))
                observer.row(rows[-1])
    return rows


@asynccontextmanager
async def _crew(processes: ProcessCrew | None, team: Team) -> AsyncIterator[Crew]:
    if processes:
        await processes.prepare(team)
        yield processes
    else:
        async with at_work(team) as worker:
            yield worker


async def _run(plan: Plan, name: str, arm: Arm, ground: Ground, strategy: str, crew: Crew, observer: Observer) -> Run:
    repeats = plan.repeats or arm.repeats
    buyers, stock = _or(plan.buyers, arm.buyers), _or(plan.stock, arm.stock)
    scenes = _scenes(arm, buyers, stock, WARM_UPS + repeats)
    observer.progress(strategy, 0, len(scenes))
    await _prepare(ground, scenes)
    measured: list[Measured] = []
    effort = Stats()
    for number, scene in enumerate(scenes):
        played = await crew.play(scene.orders)
        effort.add(played.effort)
        evidence = await ground.control.read(partial(collect, scene=scene))
        trial = Trial(scene, arm.refusal, tuple(played.shots), evidence)
        measured.append(Measured.of(trial, violations(trial), timed=number >= WARM_UPS))
        observer.progress(strategy, number + 1, len(scenes))
    promise = registry.promise(strategy)
    judgement = judge(promise, _observed(plan, arm, strategy, measured, effort))
    subject = Subject(name, strategy, ground.name, plan.processes, buyers, stock)
    return summarise(subject, measured, effort, judgement, arm.published_ms.get(strategy))


def _scenes(arm: Arm, buyers: int, stock: int, count: int) -> list[Scene]:
    run = secrets.token_hex(4)
    now_ms = time.time_ns() // 1_000_000
    try:
        return [arm.scene(Stage(run, repeat, buyers, stock, now_ms)) for repeat in range(count)]
    except ValueError as error:
        raise LabError(str(error)) from error


async def _prepare(ground: Ground, scenes: Sequence[Scene]) -> None:
    """Make the rows of all repeats in a few transactions, before anything is timed."""
    store = SqlStore(ground.control, SHOP_RESOURCES)
    commands: list[Command] = [command for scene in scenes for command in scene.setup]
    for at in range(0, len(commands), SETUP_BATCH):
        deadline = time.monotonic() + SETUP_WAIT_S
        for outcome in await store.transact(commands[at : at + SETUP_BATCH], Guard.ROW, deadline=deadline):
            if isinstance(outcome, Exception):
                raise LabError(f"the rows of the preset cannot be made: {outcome}") from outcome
            if not outcome.accepted:
                raise LabError(f"the rows of the preset cannot be made: {outcome}")


def _observed(plan: Plan, arm: Arm, strategy: str, measured: Sequence[Measured], effort: Stats) -> Observed:
    # Under SERIALIZABLE the database itself resolves conflicts by deadlock victims (InnoDB): not the rows' order
    ordered = arm.deadlocks != "none" or strategy != "serializable"
    return Observed(
        processes=plan.processes,
        repeats=len(measured),
        broken=sum(1 for repeat in measured if repeat.violations),
        short=sum(1 for repeat in measured if repeat.accepted < repeat.right_accepted),
        deadlocks=effort.deadlocks,
        bites=arm.bites,
        wanted_deadlocks=arm.deadlocks if ordered else "any",
    )


def _or(chosen: int | None, usual: int) -> int:
    return usual if chosen is None else chosen
