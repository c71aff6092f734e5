"""One control in bursts: everybody orders at the same moment, round after round, each checked at once.

It is what `stockade lab` without a word does, with the rounds shown one by one. Neighbours: `lab/runs/` has the steps
of a round, `lab/checks/` judge it, `main.py` calls this.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Final, Protocol

from stockade.core import Stats
from stockade.lab.errors import LabError
from stockade.lab.execution.order_processes import ProcessSender
from stockade.lab.execution.order_senders import OrderSender, SenderConfig, open_sender
from stockade.lab.live.choices import burst_variants
from stockade.lab.live.plan import LivePlan
from stockade.lab.live.running.figures import Point, Sums, per_transaction, percentile
from stockade.lab.model.contender import Contender
from stockade.lab.model.preset import Variant
from stockade.lab.reporting.checked_repeat import CheckedRepeat
from stockade.lab.reporting.verdict import Judgement, RunCounts, judge
from stockade.lab.runs.plan import why_not
from stockade.lab.runs.repeats import check_repeat, check_run, create_rows, make_workloads
from stockade.lab.targets.redis_servers import open_redis
from stockade.lab.targets.target_database import TargetDatabase
from stockade.strategies.options import Options

POOL: Final = 4  # connections of each process
WARM_UPS: Final = 2  # rounds that are shown and checked, and not timed


class Show(Protocol):
    """Tells the page a point and the sums so far."""

    def __call__(self, point: Point, sums: Sums) -> None: ...


async def play_bursts(plan: LivePlan, control: str, target: TargetDatabase, show: Show) -> tuple[Sums, Judgement]:
    """All rounds of one control.

    Args:
        plan: of the run.
        control: name of a contender.
        target: the database.
        show: called after every round.

    Raises:
        LabError: the control does not run on this database, or a process ended.
    """
    contender, variant = Contender.parse(control), burst_variants()[plan.workload]
    if why := why_not(contender, target.name):
        raise LabError(why)
    workloads = make_workloads(variant, plan.buyers, plan.stock, WARM_UPS + plan.rounds)
    await create_rows(target, workloads)
    checked: list[CheckedRepeat] = []
    sums, stats = Sums(), Stats()
    async with _open(plan, contender, variant, target) as sender:
        for number, workload in enumerate(workloads):
            result = await sender.send(workload.orders)
            stats.add(result.stats)
            found = await check_repeat(target, variant, workload, result.responses, timed=number >= WARM_UPS)
            checked.append(found)
            _sum(sums, found, checked, stats)
            show(_point(number + 1, found, result.stats, sums), sums)
    await check_run(target, workloads, checked)
    if checked[-1].violations and not sums.violations:  # found by the audit of the whole run
        for each in checked[-1].violations:
            sums.note(each.rule, each.detail)
    return sums, _judgement(plan, contender, variant, checked, stats)


@asynccontextmanager
async def _open(
    plan: LivePlan, contender: Contender, variant: Variant, target: TargetDatabase
) -> AsyncIterator[OrderSender]:
    async with AsyncExitStack() as stack:
        options = contender.options(Options(keep_request_order=variant.keep_request_order))
        if contender.redis_servers:
            redis = await stack.enter_async_context(open_redis("", contender.redis_servers))
            if why := redis.why_not(contender):
                raise LabError(why)
            options = replace(options, redis=redis.urls_for(contender))
        config = SenderConfig(target.url, contender.strategy, options, POOL)
        if plan.processes == 1:
            yield await stack.enter_async_context(open_sender(config))
            return
        processes = await stack.enter_async_context(ProcessSender(plan.processes))
        await processes.prepare(config)
        yield processes


def _point(number: int, found: CheckedRepeat, stats: Stats, sums: Sums) -> Point:
    ordered = sorted(found.latencies_ms)
    decided = found.accepted + found.rejected
    return Point(
        x=number,
        accepted=found.accepted,
        refused=found.rejected,
        failed=found.failed,
        rate=decided / (found.wall_ms / 1000) if found.wall_ms else 0.0,
        p50_ms=percentile(ordered, 0.5),
        p95_ms=percentile(ordered, 0.95),
        batch=per_transaction(decided, stats.transactions),
        left=found.left,
        violations=sum(sums.violations.values()),
    )


def _sum(sums: Sums, found: CheckedRepeat, checked: list[CheckedRepeat], stats: Stats) -> None:
    for each in found.violations:
        sums.note(each.rule, each.detail)
    worst = max(
        checked, key=lambda each: (len(each.violations), abs(each.accepted - each.expected_accepted), each.failed)
    )
    sums.accepted, sums.refused, sums.failed, sums.left = worst.accepted, worst.rejected, worst.failed, worst.left
    timed = [each for each in checked if each.timed] or checked
    ordered = sorted(each for repeat in timed for each in repeat.latencies_ms)
    sums.p50_ms, sums.p95_ms, sums.p99_ms = (percentile(ordered, share) for share in (0.5, 0.95, 0.99))
    wall_s = sum(each.wall_ms for each in timed) / 1000
    sums.rate = sum(each.accepted + each.rejected for each in timed) / wall_s if wall_s else 0.0
    sums.batch = per_transaction(sum(each.accepted + each.rejected for each in checked), stats.transactions)


def _judgement(
    plan: LivePlan, contender: Contender, variant: Variant, checked: list[CheckedRepeat], stats: Stats
) -> Judgement:
    counts = RunCounts.of(
        checked,
        processes=plan.processes,
        deadlocks=stats.deadlocks,
        must_fail_unprotected=variant.must_fail_unprotected and plan.buyers > 1,
    )
    return judge(contender.guarantees, counts)
