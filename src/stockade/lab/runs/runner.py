"""Runs a plan without faults: for each variant and contender the repeats, their checks, and one row of the report.

Data flows one way: preset, workload, order sender, responses, snapshot, checks and audit, verdict, summary, table.
Neighbours: `plan.py` says what to run, `targets/` on what, `execution/order_senders.py` sends the orders,
`repeats.py` has the steps of a repeat, `reporting/` shows the rows.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import replace

from stockade.core import Stats
from stockade.kafka.options import KafkaOptions
from stockade.lab.execution.command_log.log_repeats import LogRepeats
from stockade.lab.execution.command_log.log_workers import LogWorkers
from stockade.lab.execution.order_processes import ProcessSender
from stockade.lab.execution.order_senders import OrderSender, SenderConfig, open_sender
from stockade.lab.model.burst import Burst
from stockade.lab.model.contender import Contender
from stockade.lab.model.payment import PaymentMeter
from stockade.lab.model.preset import Variant
from stockade.lab.reporting.checked_repeat import CheckedRepeat
from stockade.lab.reporting.published import published
from stockade.lab.reporting.summary import RunLabels, RunSummary, summarise
from stockade.lab.reporting.table import LiveTable
from stockade.lab.reporting.verdict import RunCounts, judge
from stockade.lab.runs.payment_repeats import PaymentRepeats, config_of, guarantees_of, must_fail
from stockade.lab.runs.plan import WARM_UPS, Plan, choose
from stockade.lab.runs.repeats import check_repeat, check_run, create_rows, make_workloads, or_default
from stockade.lab.targets.gateway_server import GatewayServer
from stockade.lab.targets.kafka_servers import KafkaServers
from stockade.lab.targets.redis_servers import RedisServers
from stockade.lab.targets.target_database import TargetDatabase
from stockade.strategies.options import Options


class Runner:
    """Runs a plan on a database.

    Args:
        plan: what to run.
        target: the database.
        redis: the servers of the lock strategies.
        table: shows the rows.
        kafka: the servers of a strategy over a log; None: there are none.
        gateway: that approves payments; None: no variant of the plan pays.
    """

    def __init__(
        self,
        plan: Plan,
        target: TargetDatabase,
        redis: RedisServers,
        table: LiveTable,
        kafka: KafkaServers | None = None,
        *,
        gateway: GatewayServer | None = None,
    ) -> None:
        self._plan, self._target, self._redis, self._table = plan, target, redis, table
        self._kafka, self._gateway = kafka or KafkaServers(), gateway

    async def run(self) -> list[RunSummary]:
        """Run everything that the plan names, in its order.

        Raises:
            LabError: a strategy or a number that is not possible; a child process that ended.
        """
        plan, rows = self._plan, list[RunSummary]()
        async with AsyncExitStack() as stack:
            several = plan.processes > 1
            processes = await stack.enter_async_context(ProcessSender(plan.processes)) if several else None
            log_workers = await stack.enter_async_context(LogWorkers(plan.workers, plan.partitions))
            for name, variant in plan.variants:
                choice = choose(variant, plan.contenders, self._target.name, self._redis, self._kafka)
                played = [each.name for each in choice.run]
                shown = replace(variant, published_ms=published(variant, played, *self._load_of(variant)))
                self._table.variant(name, shown, self._target, rows=bool(choice.run))
                for left_out, reason in choice.left_out:
                    self._table.left_out(left_out, reason)
                for contender in choice.run:
                    async with (
                        self._open_log(contender, log_workers) as log,
                        _open_sender(processes, self._config(variant, contender, log)) as sender,
                    ):
                        log_repeats = LogRepeats(sender, log_workers, self._target, WARM_UPS) if log else None
                        rows.append(await self._run(name, shown, contender, sender, log_repeats))
                    self._table.row(rows[-1])
        return rows

    def _load_of(self, variant: Variant) -> tuple[int, int]:
        """Buyers and stock."""
        return or_default(self._plan.buyers, variant.buyers), or_default(self._plan.stock, variant.stock)

    def _open_log(
        self, contender: Contender, log_workers: LogWorkers
    ) -> AbstractAsyncContextManager[KafkaOptions | None]:
        if not contender.needs_kafka:
            return nullcontext()
        return log_workers.open_log(self._plan.app, self._target.url, self._kafka.bootstrap, self._plan.pool_size)

    def _config(self, variant: Variant, contender: Contender, log: KafkaOptions | None) -> SenderConfig:
        options = contender.options(
            Options(wait_s=self._plan.wait_s, keep_request_order=variant.keep_request_order, kafka=log)
        )
        if contender.redis_servers:
            options = replace(options, redis=self._redis.urls_for(contender))
        payment = config_of(variant, contender, self._gateway)
        plan = self._plan
        return SenderConfig(self._target.url, contender.strategy, options, plan.pool_size, plan.app, payment)

    async def _run(
        self, name: str, variant: Variant, contender: Contender, sender: OrderSender, log_repeats: LogRepeats | None
    ) -> RunSummary:
        plan = self._plan
        # kinds of repeats, executed in turn; only the first kind is timed
        kinds = [log_repeats.decide, log_repeats.accept] if log_repeats else [sender.send]
        buyers, stock = self._load_of(variant)
        repeats = WARM_UPS + or_default(plan.repeats, variant.repeats)
        workloads = make_workloads(variant, buyers, stock, len(kinds) * repeats)
        self._table.progress(contender.name, 0, len(workloads))
        await create_rows(self._target, workloads)
        checked: list[CheckedRepeat] = []
        stats = Stats()
        for number, workload in enumerate(workloads):
            repeat, kind = divmod(number, len(kinds))
            timed = repeat >= WARM_UPS and kind == 0
            if variant.payment is not None:
                checked.append(await self._pay(variant, workload, sender, stats, timed=timed))
            else:
                result = await kinds[kind](workload.orders)
                stats.add(result.stats)
                checked.append(await check_repeat(self._target, variant, workload, result.responses, timed=timed))
            self._table.progress(contender.name, number + 1, len(workloads))
        if not contender.scheme:  # those write no ledger
            await check_run(self._target, workloads, checked)
        counts = _run_counts(plan, variant, contender, checked, stats.deadlocks)
        judgement = judge(guarantees_of(variant, contender), counts)
        labels = RunLabels(name, contender.name, self._target.name, plan.processes, buyers, stock)
        counted = len(checked) // len(kinds)  # of the kinds of repeats, only the first counts its transactions
        published_ms = variant.published_ms.get(contender.name)
        run = summarise(labels, checked, stats, judgement, published_ms, counted_repeats=counted)
        return replace(run, log=log_repeats.summary()) if log_repeats else run

    async def _pay(
        self, variant: Variant, workload: Burst, sender: OrderSender, stats: Stats, *, timed: bool
    ) -> CheckedRepeat:
        assert variant.payment is not None
        assert self._gateway is not None
        repeats = PaymentRepeats(variant.payment, self._gateway, self._target)
        result = await repeats.send(sender, workload)
        stats.add(result.stats)
        await repeats.reconcile(sender)
        return await repeats.check(workload, result.responses, result.meter or PaymentMeter(), timed=timed)


@asynccontextmanager
async def _open_sender(processes: ProcessSender | None, config: SenderConfig) -> AsyncIterator[OrderSender]:
    if processes:
        await processes.prepare(config)
        yield processes
    else:
        async with open_sender(config) as sender:
            yield sender


def _run_counts(
    plan: Plan, variant: Variant, contender: Contender, checked: Sequence[CheckedRepeat], deadlocks: int
) -> RunCounts:
    # under SERIALIZABLE, InnoDB itself resolves conflicts by deadlock victims: the order of the rows is not the reason
    judged = variant.deadlocks != "none" or contender.strategy != "serializable"
    return RunCounts.of(
        checked,
        processes=plan.processes,
        deadlocks=deadlocks,
        must_fail_unprotected=must_fail(variant, contender),
        wanted_deadlocks=variant.deadlocks if judged else "any",
    )
