"""Plays a plan: for each arm and strategy the repeats, the checks after each, and the row they make.

Data flows one way: preset, commands, crew, answers, evidence, checks and audit, verdict, figures, observer.
Neighbours: `plan` says what, `ground` where, `crew` and `processes` who, `table` and `document` show the rows.
"""

import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
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
from stockade.lab.run_audit import audit_run
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


class Runner:
    """Plays a plan on a ground.

    Args:
        plan: what to do.
        ground: where.
        observer: is told of every step.
    """

    def __init__(self, plan: Plan, ground: Ground, observer: Observer) -> None:
        self._plan, self._ground, self._observer = plan, ground, observer

    async def play(self) -> list[Run]:
        """Run everything that the plan names, in its order.

        Raises:
            LabError: a strategy or a figure of the plan that cannot be; a worker process that ended.
        """
        plan, rows = self._plan, list[Run]()
        async with AsyncExitStack() as stack:
            processes = stack.enter_context(ProcessCrew(plan.processes)) if plan.processes > 1 else None
            for name, arm in plan.arms:
                self._observer.arm(name, arm, self._ground)
                choice = choose(arm, plan.strategies, self._ground.name)
                for strategy, reason in choice.left_out:
                    self._observer.left_out(strategy, reason)
                for strategy in choice.run:
                    team = Team(self._ground.url, strategy, plan.pool_size, plan.wait_s, arm.unsorted)
                    async with _crew(processes, team) as crew:
                        rows.append(await self._run(name, arm, strategy, crew))
                    self._observer.row(rows[-1])
        return rows

    async def _run(self, name: str, arm: Arm, strategy: str, crew: Crew) -> Run:
        plan = self._plan
        buyers, stock = _or(plan.buyers, arm.buyers), _or(plan.stock, arm.stock)
        scenes = _scenes(arm, buyers, stock, WARM_UPS + _or(plan.repeats, arm.repeats))
        self._observer.progress(strategy, 0, len(scenes))
        await _prepare(self._ground, scenes)
        measured: list[Measured] = []
        effort = Stats()
        for number, scene in enumerate(scenes):
            played = await crew.play(scene.orders)
            effort.add(played.effort)
            evidence = await self._ground.control.read(partial(collect, scene=scene))
            trial = Trial(scene, arm.refusal, tuple(played.shots), evidence)
            measured.append(Measured.of(trial, violations(trial), timed=number >= WARM_UPS))
            self._observer.progress(strategy, number + 1, len(scenes))
        if self._ground.own and not any(repeat.violations for repeat in measured):
            found = await audit_run(self._ground, scenes)
            measured[-1] = replace(measured[-1], violations=tuple(found))
        judgement = judge(registry.promise(strategy), _observed(plan, arm, strategy, measured, effort.deadlocks))
        subject = Subject(name, strategy, self._ground.name, plan.processes, buyers, stock)
        return summarise(subject, measured, effort, judgement, arm.published_ms.get(strategy))


@asynccontextmanager
async def _crew(processes: ProcessCrew | None, team: Team) -> AsyncIterator[Crew]:
    if processes:
        await processes.prepare(team)
        yield processes
    else:
        async with at_work(team) as worker:
            yield worker


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


def _observed(plan: Plan, arm: Arm, strategy: str, measured: Sequence[Measured], deadlocks: int) -> Observed:
    # Under SERIALIZABLE the database itself resolves conflicts by deadlock victims (InnoDB): not the rows' order
    ordered = arm.deadlocks != "none" or strategy != "serializable"
    return Observed(
        processes=plan.processes,
        repeats=len(measured),
        broken=sum(1 for repeat in measured if repeat.violations),
        short=sum(1 for repeat in measured if repeat.accepted < repeat.right_accepted),
        deadlocks=deadlocks,
        bites=arm.bites,
        wanted_deadlocks=arm.deadlocks if ordered else "any",
    )


def _or(chosen: int | None, usual: int) -> int:
    return usual if chosen is None else chosen
