"""Plays the faults of a plan: for each arm, fault and entrant the repeats, their checks, and the row they make.

Two processes, one of which is hurt, and private Redis servers. Neighbours: `runner` plays without faults and lends its
scenes and checks, `faults/` are the scripts, `rig` is what they play with.
"""

import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from stockade.devservers import Servers
from stockade.lab.errors import LabError
from stockade.lab.execution.contender import Entrant, everyone
from stockade.lab.execution.executors import Team
from stockade.lab.execution.fault_harness import PATIENCE_S, UNSAFE_PATIENCE_S, Rig
from stockade.lab.execution.plan import Choice, Plan, why_not
from stockade.lab.execution.runner import Observer, either, examine, examine_whole, make_scenes, prepare
from stockade.lab.fault import Fault
from stockade.lab.preset import Arm
from stockade.lab.reporting.summary import Measured, Run, Subject, summarise
from stockade.lab.reporting.verdict import Observed, holds, judge
from stockade.lab.targets.redis_node import RedisNode
from stockade.lab.targets.target_database import Ground
from stockade.strategies.options import Options

PROCESSES = 2
FEWEST_BUYERS = 2


class FaultRunner:
    """Plays the faults of a plan on a ground.

    Args:
        plan: what to do.
        ground: where.
        servers: starts the Redis servers; each entrant has its own.
        missing: why there can be none; empty when there can.
        observer: is told of every step.
    """

    def __init__(self, plan: Plan, ground: Ground, servers: Servers, missing: str, observer: Observer) -> None:
        self._plan, self._ground, self._servers, self._observer = plan, ground, servers, observer
        self._missing = missing

    async def play(self) -> list[Run]:
        """Run every fault on every arm, in the plan's order.

        Raises:
            LabError: a figure of the plan that cannot be; a fault that missed; a process that could not go on.
        """
        rows = list[Run]()
        with Rig() as rig:
            for (name, arm), fault in itertools.product(self._plan.arms, self._plan.faults):
                shown = replace(arm, summary=fault.summary, published_ms={})
                self._observer.arm(f"{name} under {fault.name}", shown, self._ground)
                choice = choose(arm, fault, self._plan.entrants, self._ground.name, self._missing)
                for left_out, reason in choice.left_out:
                    self._observer.left_out(left_out, reason)
                for entrant in choice.run:
                    rows.append(await self._run(rig, name, arm, fault, entrant))
                    self._observer.row(rows[-1])
        return rows

    async def _run(self, rig: Rig, name: str, arm: Arm, fault: Fault, entrant: Entrant) -> Run:
        plan = self._plan
        buyers, stock = either(plan.buyers, arm.buyers), either(plan.stock, arm.stock)
        if buyers < FEWEST_BUYERS:
            raise LabError(f"a fault needs at least {FEWEST_BUYERS} buyers")
        scenes = make_scenes(arm, buyers, stock, len(fault.points) * either(plan.repeats, 1))
        self._observer.progress(entrant.name, 0, len(scenes))
        await prepare(self._ground, scenes)
        measured: list[Measured] = []
        async with self._nodes(entrant.redis_servers) as nodes:
            await rig.prepare(self._team(fault, entrant, nodes), nodes)
            rig.patience_s = PATIENCE_S if holds(entrant.guarantees, fault.name) else UNSAFE_PATIENCE_S
            for number, (scene, rig.point) in enumerate(zip(scenes, itertools.cycle(fault.points), strict=False)):
                shots = await rig.ask_again(scene, await fault.play(rig, scene))
                measured.append(await examine(self._ground, arm, scene, shots, timed=True))
                self._observer.progress(entrant.name, number + 1, len(scenes))
        await examine_whole(self._ground, scenes, measured)
        judgement = judge(entrant.guarantees, _observed(arm, fault, measured, rig.effort.deadlocks))
        subject = Subject(name, entrant.name, self._ground.name, PROCESSES, buyers, stock, fault.name)
        return summarise(subject, measured, rig.effort, judgement)

    def _team(self, fault: Fault, entrant: Entrant, nodes: Sequence[RedisNode]) -> Team:
        options = entrant.options(Options(wait_s=self._plan.wait_s, lease_s=fault.lease_s))
        if nodes:
            options = replace(options, redis=tuple(node.url for node in nodes))
        return Team(self._ground.url, entrant.strategy, options, self._plan.pool_size)

    @asynccontextmanager
    async def _nodes(self, count: int) -> AsyncIterator[list[RedisNode]]:
        nodes: list[RedisNode] = []
        try:
            for _ in range(count):
                node = RedisNode(self._servers)
                await node.open()
                nodes.append(node)
            yield nodes
        finally:
            for node in nodes:
                await node.close()


def choose(arm: Arm, fault: Fault, wanted: Sequence[Entrant] | None, database: str, missing: str) -> Choice:
    """Who is hurt on this arm and database: by default every strategy that the fault concerns, in all its forms.

    Args:
        arm: its buyers must meet on one row.
        fault: may concern some strategies only.
        wanted: entrants, or None for all.
        database: name of the dialect.
        missing: why there can be no private Redis; empty when there can.
    """
    if not arm.one_row:
        return Choice([], [("all", "not for faults: its buyers do not all meet on one row that is there")])
    choice = Choice([], [])
    for entrant in wanted or everyone(with_forms=True):
        concerned = not fault.needs or fault.needs in entrant.guarantees.needs
        why = _why_not(entrant, database, missing) if concerned else f"does not use {fault.needs}"
        if not why:
            choice.run.append(entrant)
        elif wanted or concerned:
            choice.left_out.append((entrant.name, why))
    return choice


def _why_not(entrant: Entrant, database: str, missing: str) -> str:
    if entrant.guarantees.processes == "one":
        return "right in one process only, and a fault needs two"
    if entrant.over_log:
        return "other processes decide for it than those that are hurt here; tests/kafka hurts its workers"
    if entrant.redis_servers and missing:
        return f"needs redis: {missing}"
    return why_not(entrant, database)


def _observed(arm: Arm, fault: Fault, measured: Sequence[Measured], deadlocks: int) -> Observed:
    return Observed(
        processes=PROCESSES,
        repeats=len(measured),
        broken=sum(1 for repeat in measured if repeat.violations),
        short=sum(1 for repeat in measured if repeat.accepted < repeat.right_accepted),
        deadlocks=deadlocks,
        bites=arm.bites and fault.bites,
        wanted_deadlocks="any",
        fault=fault.name,
    )
