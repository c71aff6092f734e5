"""From the raw samples of a strategy at a point to medians with intervals, and whether it counts. Pure functions.

A strategy's point counts only where the negative control failed: where even `unprotected` loses and oversells nothing,
the orders did not meet, and the figures say nothing about control. It must fail in most of its rounds, as the figures
are medians of rounds. And a point counts only if the strategy broke no rule itself, and gave up no order that could
have succeeded: such rounds are left out, and most of them must not be such.
Neighbours: `crossovers.py` compares points, `document.py` writes them.
"""

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from stockade.core import JsonValue
from stockade.lab.model.contender import Contender
from stockade.lab.reporting.summary import percentile
from stockade.lab.reporting.verdict import holds
from stockade.lab.sweeps.analysis.statistics import Interval, interval, rounded
from stockade.lab.sweeps.axes import Point
from stockade.lab.sweeps.plan import BURSTS, CONTROL
from stockade.lab.sweeps.sample import Sample
from stockade.lab.targets.target_database import SQLITE

NOT_FAILED: Final = "control did not fail"
LOST_OR_OVERSOLD: Final = frozenset({"oversell", "conservation"})  # rules that only orders that meet can break
SHORT: Final = "gave up orders that could have succeeded"
VIOLATED: Final = "broke a rule"
NO_CLAIM: Final = "claims nothing here"
NOTHING_DECIDED: Final = "decided nothing"
FAILED_SHARE: Final = "failed_share"
USUAL: Final = "buyers=30"  # the point of the usual setting

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
    FAILED_SHARE: lambda sample: sample.failed / (sample.decided + sample.failed),
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


class Rounds(NamedTuple):
    """In how many rounds something was so.

    Attributes:
        times: in how many it was.
        played: all of them.
    """

    times: int
    played: int

    @property
    def most(self) -> bool:
        """Whether it was so in more than half of them."""
        return 2 * self.times > self.played

    def __str__(self) -> str:
        return f"{self.times} of {self.played} rounds"


def rounds_in_which(samples: Iterable[Sample], what: Callable[[Sample], bool]) -> Rounds:
    """In how many rounds a burst was so.

    Args:
        samples: of one strategy at one point.
        what: says it of a burst.
    """
    found = dict[int, bool]()
    for sample in samples:
        found[sample.round] = found.get(sample.round, False) or what(sample)
    return Rounds(sum(found.values()), len(found))


def lost_or_oversold(sample: Sample) -> bool:
    """Whether the orders of a burst met, and some of their changes were lost, or more was sold than there was."""
    return not LOST_OR_OVERSOLD.isdisjoint(sample.violations)


@dataclass(frozen=True, slots=True)
class PointResult:
    """A strategy at a point.

    Attributes:
        point: where.
        contender: who.
        samples: all of them, in the order of their rounds; a round has several bursts.
        control: in how many rounds the negative control lost or oversold something at this point.
        must_hold: whether the strategy claims to break no rule here.
    """

    point: Point
    contender: Contender
    samples: tuple[Sample, ...]
    control: Rounds
    must_hold: bool

    @property
    def is_control(self) -> bool:
        """Whether it is to break rules: it promises nothing, so there is nothing of it that could count."""
        return self.contender.guarantees.may_oversell or self.contender.form == "bare"

    @property
    def control_failed(self) -> bool:
        """Whether the negative control failed here: in most of its rounds."""
        return self.control.most

    @property
    def short(self) -> Rounds:
        """In how many rounds an order was given up that could have succeeded."""
        return rounds_in_which(self.samples, lambda sample: sample.short)

    @property
    def cut(self) -> Rounds:
        """In how many rounds a turn was cut short: it took so long that it has fewer bursts."""
        bursts = Counter(sample.round for sample in self.samples)
        return Rounds(sum(each < BURSTS for each in bursts.values()), len(bursts))

    @property
    def without_baseline(self) -> Rounds:
        """In how many rounds an order that had everything for itself was not accepted."""
        return rounds_in_which(self.samples, lambda sample: sample.alone_ms is None)

    @property
    def failed_share(self) -> float:
        """Orders without a decision, of all orders of all rounds."""
        failed = sum(sample.failed for sample in self.samples)
        return failed / max(1, failed + sum(sample.decided for sample in self.samples))

    @property
    def violations(self) -> tuple[str, ...]:
        """Names of the rules that were broken, each once, by a warm-up and by lone orders too."""
        broken = (rule for each in self.samples for rule in (*each.untimed_violations, *each.violations))
        return tuple(dict.fromkeys(broken))

    @property
    def claim_violated(self) -> bool:
        """Whether the strategy broke a rule that it claims to keep."""
        return self.must_hold and bool(self.violations)

    @property
    def why_not(self) -> str:
        """Why the point does not count for this strategy; empty: it does."""
        if self.is_control:
            return "negative control"
        if self.violations:
            return f"{VIOLATED}: {', '.join(self.violations)}"
        if not self.must_hold:  # it was lucky
            return NO_CLAIM
        if not self.control_failed:
            return f"{NOT_FAILED} in most rounds: in {self.control}" if self.control.times else NOT_FAILED
        if not any(sample.decided for sample in self.samples):
            return NOTHING_DECIDED
        return f"{SHORT} in {self.short}, {self.failed_share:.1%} of all" if self.short.most else ""

    @property
    def counts(self) -> bool:
        """Whether its figures may be compared with those of others."""
        return not self.why_not

    def by_round(self, figure: Callable[[Sample], float | None], *, short: bool = False) -> dict[int, float]:
        """By round the median of its bursts, of rounds that have the figure: one value, because bursts of one turn are
        not independent of each other.

        Args:
            figure: of a burst.
            short: of rounds too in which orders were given up that could have succeeded: the others had it easier.
        """
        left_out = {sample.round for sample in self.samples if sample.short and not short}
        found: dict[int, list[float]] = {}
        for sample in self.samples:
            if sample.round not in left_out and (value := figure(sample)) is not None:
                found.setdefault(sample.round, []).append(value)
        return {number: statistics.median(values) for number, values in found.items()}

    def figure(self, name: str) -> Interval | None:
        """A figure of `FIGURES`; None: no sample has it."""
        found = self.by_round(FIGURES[name], short=name == FAILED_SHARE)
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


def most_counted(results: Iterable[PointResult]) -> list[PointResult]:
    """Those that count at the point at which most strategies do; of several such points the usual one, or the first.

    Args:
        results: of a sweep, or of several on one database.
    """
    by_point: dict[str, list[PointResult]] = {}
    for each in results:
        if each.counts:
            by_point.setdefault(each.point.id, []).append(each)
    return max(by_point.items(), key=lambda item: (len(item[1]), item[0] == USUAL), default=("", []))[1]


def servers_of(contender: Contender, database: str) -> list[str]:
    """Where servers work for a strategy: names of `PER_ORDER` without `_cpu_ms`. SQLite runs in the service.

    Args:
        contender: who.
        database: its dialect.
    """
    places = {"database": database != SQLITE, "redis": contender.redis_servers > 0, "kafka": contender.needs_kafka}
    return [place for place, needed in places.items() if needed]


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
        control = rounds_in_which(samples.get((point.id, CONTROL), ()), lost_or_oversold)
        for contender in contenders:
            if taken := samples.get((point.id, contender.name)):
                must_hold = holds(contender.guarantees, "", point.setting.processes)
                found.append(PointResult(point, contender, tuple(taken), control, must_hold))
    return found
