"""Runs a plan with faults: for each variant, fault and contender the repeats, their checks, and one row of the report.

There are two processes, one of which is the victim, and private Redis servers. Neighbours: `runner.py` runs without
faults, `repeats.py` has the steps of a repeat, `aimed_faults/` the scripts, `execution/fault_harness.py` runs these.
"""

import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from stockade.devservers import Servers
from stockade.lab.errors import LabError
from stockade.lab.execution.aimed_fault import AimedFault
from stockade.lab.execution.fault_harness import BLOCKED_AFTER_S, UNSAFE_BLOCKED_AFTER_S, FaultHarness
from stockade.lab.execution.order_senders import SenderConfig
from stockade.lab.execution.payer import ASKED
from stockade.lab.model.burst import Burst
from stockade.lab.model.contender import Contender, all_contenders, payment_contenders
from stockade.lab.model.payment import PaymentMeter
from stockade.lab.model.preset import Variant
from stockade.lab.reporting.checked_repeat import CheckedRepeat
from stockade.lab.reporting.summary import RunLabels, RunSummary, summarise
from stockade.lab.reporting.table import LiveTable
from stockade.lab.reporting.verdict import RunCounts, holds, judge
from stockade.lab.runs.payment_repeats import PaymentRepeats, config_of, guarantees_of, must_fail
from stockade.lab.runs.plan import Choice, Plan, why_not, why_not_variant
from stockade.lab.runs.repeats import check_repeat, check_run, create_rows, make_workloads, or_default
from stockade.lab.targets.gateway_server import GatewayServer
from stockade.lab.targets.redis_node import RedisNode
from stockade.lab.targets.target_database import TargetDatabase
from stockade.strategies.options import Options

PROCESSES = 2
FEWEST_BUYERS = 2


class FaultRunner:
    """Runs the faults of a plan on a database.

    Args:
        plan: what to run.
        target: the database.
        servers: starts the Redis servers; each contender has its own.
        redis_missing: why no private Redis can be started; empty if one can.
        table: shows the rows.
        gateway: that approves payments; None: no variant of the plan pays.
    """

    def __init__(
        self,
        plan: Plan,
        target: TargetDatabase,
        servers: Servers,
        redis_missing: str,
        table: LiveTable,
        *,
        gateway: GatewayServer | None = None,
    ) -> None:
        self._plan, self._target, self._servers, self._table = plan, target, servers, table
        self._redis_missing, self._gateway = redis_missing, gateway

    async def run(self) -> list[RunSummary]:
        """Run every fault on every variant, in the plan's order.

        Raises:
            LabError: a number that is not possible; a fault point that was not reached; a child process that failed.
        """
        rows = list[RunSummary]()
        async with FaultHarness() as harness:
            for (name, variant), fault in itertools.product(self._plan.variants, self._plan.faults):
                shown = replace(variant, summary=fault.summary, published_ms={})
                choice = choose_for_fault(variant, fault, self._plan.contenders, self._target.name, self._redis_missing)
                self._table.variant(f"{name} under {fault.name}", shown, self._target, rows=bool(choice.run))
                for left_out, reason in choice.left_out:
                    self._table.left_out(left_out, reason)
                for contender in choice.run:
                    rows.append(await self._run(harness, name, variant, fault, contender))
                    self._table.row(rows[-1])
        return rows

    async def _run(
        self, harness: FaultHarness, name: str, variant: Variant, fault: AimedFault, contender: Contender
    ) -> RunSummary:
        plan = self._plan
        buyers, stock = or_default(plan.buyers, variant.buyers), or_default(plan.stock, variant.stock)
        if buyers < FEWEST_BUYERS:
            raise LabError(f"a fault needs at least {FEWEST_BUYERS} buyers")
        points = (ASKED,) if variant.payment is not None else fault.points
        workloads = make_workloads(variant, buyers, stock, len(points) * or_default(plan.repeats, 1))
        self._table.progress(contender.name, 0, len(workloads))
        await create_rows(self._target, workloads)
        checked: list[CheckedRepeat] = []
        guarantees = guarantees_of(variant, contender, fault.name)
        safe = holds(guarantees, fault.name)
        async with self._open_nodes(contender.redis_servers) as nodes:
            await harness.prepare(self._config(variant, fault, contender, nodes), nodes)
            harness.blocked_after_s = BLOCKED_AFTER_S if safe else UNSAFE_BLOCKED_AFTER_S
            for number, (workload, point) in enumerate(zip(workloads, itertools.cycle(points), strict=False)):
                harness.point = point
                checked.append(await self._repeat(harness, variant, fault, workload))
                self._table.progress(contender.name, number + 1, len(workloads))
        if not contender.scheme:
            await check_run(self._target, workloads, checked)
        counts = RunCounts.of(
            checked,
            processes=PROCESSES,
            deadlocks=harness.stats.deadlocks,
            must_fail_unprotected=must_fail(variant, contender, fault.must_fail_unprotected),
            fault=fault.name,
        )
        labels = RunLabels(name, contender.name, self._target.name, PROCESSES, buyers, stock, fault.name)
        return summarise(labels, checked, harness.stats, judge(guarantees, counts))

    async def _repeat(
        self, harness: FaultHarness, variant: Variant, fault: AimedFault, workload: Burst
    ) -> CheckedRepeat:
        harness.victim_first = variant.payment is not None
        if variant.payment is None:
            responses = await harness.retry_failed(workload, await fault.run(harness, workload))
            return await check_repeat(self._target, variant, workload, responses, timed=True)
        assert self._gateway is not None
        payments = PaymentRepeats(variant.payment, self._gateway, self._target)
        await payments.begin()
        harness.meter = PaymentMeter()
        responses = await harness.retry_failed(workload, await fault.run(harness, workload))
        await payments.reconcile(harness)
        return await payments.check(workload, responses, harness.meter, timed=True)

    def _config(
        self, variant: Variant, fault: AimedFault, contender: Contender, nodes: Sequence[RedisNode]
    ) -> SenderConfig:
        options = contender.options(Options(wait_s=self._plan.wait_s, lease_s=fault.lease_s))
        if nodes:
            options = replace(options, redis=tuple(node.url for node in nodes))
        payment, plan = config_of(variant, contender, self._gateway), self._plan
        return SenderConfig(self._target.url, contender.strategy, options, plan.pool_size, plan.app, payment)

    @asynccontextmanager
    async def _open_nodes(self, count: int) -> AsyncIterator[list[RedisNode]]:
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


def choose_for_fault(
    variant: Variant, fault: AimedFault, wanted: Sequence[Contender] | None, database: str, redis_missing: str
) -> Choice:
    """Which contenders run: by default every strategy that the fault concerns, in all its forms.

    Args:
        variant: its orders must share one row.
        fault: may concern some strategies only.
        wanted: the user's contenders, or None for all.
        database: name of the dialect.
        redis_missing: why no private Redis can be started; empty if one can.
    """
    if variant.payment is not None and fault.name not in variant.payment.must_break:
        return Choice([], [("all", f"{fault.name} says nothing about this way to pay")])
    if variant.payment is None and not variant.single_row:
        return Choice([], [("all", "not for faults: its orders do not all share one row that exists")])
    choice = Choice([], [])
    for contender in wanted or (all_contenders(with_forms=True) if variant.payment is None else payment_contenders()):
        concerned = not fault.needs or fault.needs in contender.guarantees.needs
        why = f"does not use {fault.needs}"
        if concerned:
            why = _why_not(contender, database, redis_missing) or why_not_variant(variant, contender)
        if not why:
            choice.run.append(contender)
        elif wanted or concerned:
            choice.left_out.append((contender.name, why))
    return choice


def _why_not(contender: Contender, database: str, redis_missing: str) -> str:
    if contender.guarantees.processes == "one":
        return "right in one process only, and a fault needs two"
    if contender.needs_kafka:
        return "log workers decide its orders, and these faults do not hurt them; tests/kafka does"
    if contender.redis_servers and redis_missing:
        return f"needs redis: {redis_missing}"
    return why_not(contender, database)
