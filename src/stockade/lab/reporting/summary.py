"""From repeats to the figures of one run: the worst repeat, and the spread of the times. Pure.

Neighbours: `runner` collects the repeats, `verdict` judges, `table` and `document` show a `Run`.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from stockade.core import Stats
from stockade.lab.execution.repeat_result import Trial, Violation
from stockade.lab.reporting.verdict import Judgement


@dataclass(frozen=True, slots=True)
class Measured:
    """What is kept of a repeat once it is checked. `timed` is False for a warm-up, which is checked all the same."""

    accepted: int
    rejected: int
    failed: int
    left: int
    right_accepted: int
    violations: tuple[Violation, ...]
    wall_ms: float
    latencies_ms: tuple[float, ...]
    timed: bool

    @classmethod
    def of(cls, trial: Trial, violations: Sequence[Violation], timed: bool) -> "Measured":
        """Keep the figures, let go of the evidence."""
        return cls(
            trial.accepted,
            trial.rejected,
            trial.failed,
            trial.left,
            trial.scene.right_accepted,
            tuple(violations),
            trial.wall_ms,
            tuple(trial.latencies_ms),
            timed,
        )


@dataclass(frozen=True, slots=True)
class LogFigures:
    """What a strategy over a log shows besides. Its other times are of the decisions, as everybody's.

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
class Run:
    """One strategy on one arm: a row of the table.

    Attributes:
        accepted: with `rejected`, `failed`, `left` and `violations` of the worst repeat: the one with the most
            violations, then the furthest from the right number, then the most failures.
        wall_ms: of every timed repeat, in order.
        latency_ms: p50, p95 and p99 over all buyers of the timed repeats, by nearest rank.
        attempts_per_order: transactions begun for each command, over all repeats.
        deadlocks: transactions that the database ended as deadlock victims, over all repeats.
        published_ms: wall time that the seed published, None where it did not.
        fault: name of the fault it ran under; empty without.
        log: of a strategy over a log, else None.
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
    log: LogFigures | None = None

    @property
    def wall_median_ms(self) -> float:
        return statistics.median(self.wall_ms)


@dataclass(frozen=True, slots=True)
class Subject:
    """What was run: the first columns of a row."""

    preset: str
    strategy: str
    database: str
    processes: int
    buyers: int
    stock: int
    fault: str = ""


def summarise(
    subject: Subject,
    repeats: Sequence[Measured],
    effort: Stats,
    judgement: Judgement,
    published_ms: float | None = None,
) -> Run:
    """One row from all repeats (at least one of them timed)."""
    worst = max(repeats, key=_badness)
    timed = [repeat for repeat in repeats if repeat.timed]
    latencies = sorted(ms for repeat in timed for ms in repeat.latencies_ms)
    orders = subject.buyers * len(repeats)
    return Run(
        preset=subject.preset,
        strategy=subject.strategy,
        database=subject.database,
        processes=subject.processes,
        buyers=subject.buyers,
        stock=subject.stock,
        accepted=worst.accepted,
        rejected=worst.rejected,
        failed=worst.failed,
        left=worst.left,
        violations=worst.violations,
        wall_ms=tuple(repeat.wall_ms for repeat in timed),
        latency_ms=(percentile(latencies, 50), percentile(latencies, 95), percentile(latencies, 99)),
        attempts_per_order=effort.transactions / orders,
        deadlocks=effort.deadlocks,
        judgement=judgement,
        published_ms=published_ms,
        fault=subject.fault,
    )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile of ascending values: the smallest that at least `percent` of them do not exceed."""
    if not ordered:
        raise ValueError("a percentile needs at least one value")
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def _badness(repeat: Measured) -> tuple[int, int, int]:
    return len(repeat.violations), abs(repeat.accepted - repeat.right_accepted), repeat.failed
