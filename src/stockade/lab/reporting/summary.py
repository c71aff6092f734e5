"""From repeats to one row of the report: the worst repeat, and the spread of the times. Pure functions.

Neighbours: `runs/runner.py` collects the repeats, `verdict.py` judges them, `table.py` and `document.py` show a
`RunSummary`.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from stockade.core import Stats
from stockade.lab.model.repeat_result import Violation
from stockade.lab.reporting.checked_repeat import CheckedRepeat
from stockade.lab.reporting.verdict import Judgement


@dataclass(frozen=True, slots=True)
class LogSummary:
    """Further numbers of a strategy over a log. Its other times are until the decision, as for every strategy.

    Attributes:
        partitions: of the topic.
        workers: processes that decided.
        accepted_wall_ms: from the first command's start until the log had all of them, of every timed repeat.
        accepted_latency_ms: p50, p95 and p99 over all buyers until the log had their command.
        orders_per_transaction: decided commands for each transaction of a worker.
        lag: the most commands of a repeat that were not decided yet when its last one was accepted.
    """

    partitions: int
    workers: int
    accepted_wall_ms: tuple[float, ...]
    accepted_latency_ms: tuple[float, float, float]
    orders_per_transaction: float
    lag: int


@dataclass(frozen=True, slots=True)
class PaymentSummary:
    """Further numbers where buyers pay through a gateway.

    Attributes:
        approvals_per_payment: charges by the gateway's count, for each order, over all repeats.
        most_approvals: of one order.
        charged_not_recorded: charges that the shop does not know, in the worst repeat.
        recorded_not_charged: payments that the gateway does not know, in the worst repeat.
        connections_held: most at once whose holders were waiting for the gateway.
        pool_wait_ms: 95 % of all transactions and reads of the timed repeats got their connection within it.
        payments_s: orders paid in a second, the median of the timed repeats.
    """

    approvals_per_payment: float
    most_approvals: int
    charged_not_recorded: int
    recorded_not_charged: int
    connections_held: int
    pool_wait_ms: float
    payments_s: float


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One strategy on one variant: a row of the table.

    Attributes:
        accepted: with `rejected`, `failed`, `left` and `violations` of the worst repeat: the one with the most
            violations, then the furthest from the right number, then the most failures.
        wall_ms: of every timed repeat, in order.
        latency_ms: p50, p95 and p99 over all buyers of the timed repeats, by nearest rank.
        attempts_per_order: transactions begun for each command, over all repeats.
        deadlocks: transactions that the database ended as deadlock victims, over all repeats.
        published_ms: wall time in the Kotlin project's report; None if it has none.
        fault: name of the fault; empty without.
        log: of a strategy over a log, otherwise None.
        payments: where buyers pay through a gateway, otherwise None.
    """

    preset: str
    strategy: str
    database: str
    processes: int
    buyers: int
    stock: int
    accepted: int
    rejected: int
    failed: int
    left: int
    violations: tuple[Violation, ...]
    wall_ms: tuple[float, ...]
    latency_ms: tuple[float, float, float]
    attempts_per_order: float
    deadlocks: int
    judgement: Judgement
    published_ms: float | None = None
    fault: str = ""
    log: LogSummary | None = None
    payments: PaymentSummary | None = None


@dataclass(frozen=True, slots=True)
class RunLabels:
    """What was run: these are members of `RunSummary` too."""

    preset: str
    strategy: str
    database: str
    processes: int
    buyers: int
    stock: int
    fault: str = ""


def summarise(
    labels: RunLabels,
    repeats: Sequence[CheckedRepeat],
    stats: Stats,
    judgement: Judgement,
    published_ms: float | None = None,
    *,
    counted_repeats: int = 0,
) -> RunSummary:
    """One row from all repeats, of which at least one is timed.

    Args:
        labels: what was run.
        repeats: their results.
        stats: the transactions of the repeats.
        judgement: of the run.
        published_ms: what a report published for this strategy, in ms.
        counted_repeats: how many repeats `stats` counts; 0: all.
    """
    worst = max(repeats, key=_badness)
    timed = [repeat for repeat in repeats if repeat.timed]
    latencies = sorted(ms for repeat in timed for ms in repeat.latencies_ms)
    orders = labels.buyers * (counted_repeats or len(repeats))
    return RunSummary(
        **asdict(labels),
        accepted=worst.accepted,
        rejected=worst.rejected,
        failed=worst.failed,
        left=worst.left,
        violations=worst.violations,
        wall_ms=tuple(repeat.wall_ms for repeat in timed),
        latency_ms=(percentile(latencies, 50), percentile(latencies, 95), percentile(latencies, 99)),
        attempts_per_order=stats.transactions / orders,
        deadlocks=stats.deadlocks,
        judgement=judgement,
        published_ms=published_ms,
        payments=_payments(repeats),
    )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile of ascending values: the smallest that at least `percent` of them do not exceed."""
    if not ordered:
        raise ValueError("a percentile needs at least one value")
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def _payments(repeats: Sequence[CheckedRepeat]) -> PaymentSummary | None:
    every = [repeat.payments for repeat in repeats if repeat.payments is not None]
    if not every:
        return None
    timed = [repeat.payments for repeat in repeats if repeat.timed and repeat.payments is not None]
    waits_s = sorted(wait_s for figures in timed for wait_s in figures.waits_s)
    charged = sum(sum(figures.approvals.values()) for figures in every)
    return PaymentSummary(
        approvals_per_payment=charged / sum(figures.payments for figures in every),
        most_approvals=max(max(figures.approvals.values()) for figures in every),
        charged_not_recorded=max(figures.unrecorded for figures in every),
        recorded_not_charged=max(figures.uncharged for figures in every),
        connections_held=max(figures.held for figures in every),
        pool_wait_ms=percentile(waits_s, 95) * 1e3 if waits_s else 0.0,
        payments_s=statistics.median(figures.paid / figures.wall_s for figures in timed),
    )


def _badness(repeat: CheckedRepeat) -> tuple[int, int, int]:
    return len(repeat.violations), abs(repeat.accepted - repeat.expected_accepted), repeat.failed
