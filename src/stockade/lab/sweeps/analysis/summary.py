"""From the raw samples of a strategy at a point to medians with intervals, and whether it counts. Pure functions.

A strategy's point counts only where the negative control failed: where even `unprotected` breaks nothing, the orders
did not meet, and the figures say nothing about control. And it counts only if the strategy broke no rule itself.
Neighbours: `crossovers.py` compares points, `document.py` writes them.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from stockade.core import JsonValue
from stockade.lab.model.contender import Contender
from stockade.lab.reporting.summary import percentile
from stockade.lab.reporting.verdict import holds
from stockade.lab.sweeps.analysis.statistics import Interval, interval, rounded
from stockade.lab.sweeps.axes import Point
from stockade.lab.sweeps.plan import CONTROL
from stockade.lab.sweeps.sample import Sample

NOT_FAILED: Final = "control did not fail"
VIOLATED: Final = "broke a rule"
NO_CLAIM: Final = "claims nothing here"
NOTHING_DECIDED: Final = "decided nothing"

# by name: the figure of one sample; None: it was not measured. Those of `PER_ORDER` are divided by decided orders.
FIGURES: Final[Mapping[str, Callable[[Sample], float | None]]] = {
    "decided_s": lambda sample: sample.decided_s,
    "accepted_s": lambda sample: sample.accepted_s,
    "wall_ms": lambda sample: sample.wall_ms,
    "alone_ms": lambda sample: sample.alone_ms,
    "p50_ms": lambda sample: percentile(sample.latencies_ms, 50),
    "p95_ms": lambda sample: percentile(sample.latencies_ms, 95),
    "p99_ms": lambda sample: percentile(sample.latencies_ms, 99),
    "longest_ms": lambda sample: sample.latencies_ms[-1],
    "longest_by_median": lambda sample: sample.latencies_ms[-1] / max(1e-6, percentile(sample.latencies_ms, 50)),
    "inversions": lambda sample: sample.inversions,
    "failed_share": lambda sample: sample.failed / (sample.decided + sample.failed),
}
PER_ORDER: Final = (
    "transactions",
    "deadlocks",
    "connection_ms",
    "pool_wait_ms",
    "blocked_ms",
    "redis_commands",
    "service_cpu_ms",
    "database_cpu_ms",
    "redis_cpu_ms",
    "kafka_cpu_ms",
)


@dataclass(frozen=True, slots=True)
class PointResult:
    """A strategy at a point.

    Attributes:
        point: where.
        contender: who.
        samples: all of them, in the order of their rounds; a round has several bursts.
        control_failed: whether the control broke a rule at this point, in any repeat.
        must_hold: whether the strategy claims to break no rule here.
    """

    point: Point
    contender: Contender
    samples: tuple[Sample, ...]
    control_failed: bool
    must_hold: bool

    @property
    def violations(self) -> tuple[str, ...]:
        """Names of the rules that were broken, each once."""
        return tuple(dict.fromkeys(rule for sample in self.samples for rule in sample.violations))

    @property
    def claim_violated(self) -> bool:
        """Whether the strategy broke a rule that it claims to keep."""
        return self.must_hold and bool(self.violations)

    @property
    def why_not(self) -> str:
        """Why the point does not count for this strategy; empty: it does."""
        if self.contender.guarantees.may_oversell or self.contender.form == "bare":
            return "negative control"
        if self.violations:
            return f"{VIOLATED}: {', '.join(self.violations)}"
        if not self.must_hold:  # it was lucky
            return NO_CLAIM
        if not self.control_failed:
            return NOT_FAILED
        return "" if any(sample.decided for sample in self.samples) else NOTHING_DECIDED

    @property
    def counts(self) -> bool:
        """Whether its figures may be compared with those of others."""
        return not self.why_not

    def by_round(self, figure: Callable[[Sample], float | None]) -> dict[int, float]:
        """By round the median of its bursts, of rounds that have the figure: one value, because bursts of one turn are
        not independent of each other.
        """
        found: dict[int, list[float]] = {}
        for sample in self.samples:
            if (value := figure(sample)) is not None:
                found.setdefault(sample.repeat, []).append(value)
        return {repeat: statistics.median(values) for repeat, values in found.items()}

    def figure(self, name: str) -> Interval | None:
        """A figure of `FIGURES`; None: no sample has it."""
        found = self.by_round(FIGURES[name])
        return interval(list(found.values())) if found else None

    def per_order(self, name: str) -> Interval | None:
        """What one decided order used; None: it was not measured.

        Args:
            name: a member of `Resources`.
        """

        def used(sample: Sample) -> float | None:
            value = getattr(sample.resources, name)
            return float(value) / sample.decided if sample.decided and value is not None else None

        found = self.by_round(used)
        return interval(list(found.values())) if found else None

    def latencies(self) -> dict[str, JsonValue]:
        """Percentiles over all buyers of all repeats, by nearest rank, in milliseconds."""
        ordered = sorted(ms for sample in self.samples for ms in sample.latencies_ms)
        names = {"p50": 50, "p90": 90, "p95": 95, "p99": 99, "longest": 100}
        return {name: rounded(percentile(ordered, percent)) for name, percent in names.items()}


def results_of(
    points: Sequence[Point], contenders: Sequence[Contender], samples: Mapping[tuple[str, str], Sequence[Sample]]
) -> list[PointResult]:
    """Everything that has samples, point after point.

    Args:
        points: of the sweep.
        contenders: of the sweep.
        samples: by the id of the point and the name of the contender.
    """
    found = list[PointResult]()
    for point in points:
        failed = any(sample.violations for sample in samples.get((point.id, CONTROL), ()))
        for contender in contenders:
            if taken := samples.get((point.id, contender.name)):
                must_hold = holds(contender.guarantees, "", point.setting.processes)
                found.append(PointResult(point, contender, tuple(taken), failed, must_hold))
    return found
