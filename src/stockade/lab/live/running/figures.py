"""The figures of a run while it moves: one point for each round or quarter of a second, and the sums. Pure values.

Neighbours: `burst_leg.py` and `recording_leg.py` make points, `session.py` keeps them, the page draws them.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

MOST_FAULTS: Final = 60  # notes of one leg that a page shows
MOST_DETAIL: Final = 300  # characters


@dataclass(slots=True, kw_only=True)
class Figures:
    """What a point and the sums both have.

    Attributes:
        accepted: orders.
        refused: the same.
        failed: without a decision, and nothing happened.
        unknown: without a decision, and it may have happened.
        rate: decided orders per second.
        p50_ms: median time from sending to the answer; None where nothing was answered.
        p95_ms: the same for 95 of 100.
        batch: decided orders for each transaction that was begun; None where none was.
        left: free units, or points, by the database; None: not read.
        twice: versions of a row that two requests were given so far, in a recording; None: not watched.
    """

    accepted: int = 0
    refused: int = 0
    failed: int = 0
    unknown: int = 0
    rate: float = 0.0
    p50_ms: float | None = None
    p95_ms: float | None = None
    batch: float | None = None
    left: int | None = None
    twice: int | None = None

    def as_json(self) -> dict[str, Any]:
        """For the page, rounded to what it can show."""
        return {name: round(value, 3) if isinstance(value, float) else value for name, value in asdict(self).items()}


@dataclass(slots=True, kw_only=True)
class Point(Figures):
    """What one round of a burst showed, or one window of a recording.

    Attributes:
        x: number of the round from 1, or seconds since the load began.
        waiting: requests without an answer at the end of the window; None: not known.
        violations: found so far; None: they are looked for after the load.
    """

    x: float
    waiting: int | None = None
    violations: int | None = None


@dataclass(slots=True, kw_only=True)
class Sums(Figures):
    """The sums of one leg: of a burst the orders of its worst round, as in the table of the lab, and all answers.

    Attributes:
        p99_ms: time from sending to the answer, for 99 of 100.
        violations: how many of each rule; of a recording what the checkers found, after the load. `twice` stays beside
            them, because what the checkers find has a bound.
        detail: the first violation in words.
        faults: what was injected and healed: seconds, name, action, detail.
    """

    p99_ms: float | None = None
    violations: dict[str, int] = field(default_factory=dict)
    detail: str = ""
    faults: list[tuple[float, str, str, str]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For the page, with bounds on what is in words."""
        found = Figures.as_json(self)
        return {**found, "detail": self.detail[:MOST_DETAIL], "faults": self.faults[-MOST_FAULTS:]}

    def note(self, rule: str, detail: str, count: int = 1) -> None:
        """Count a violation."""
        self.violations[rule] = self.violations.get(rule, 0) + count
        self.detail = self.detail or f"{rule}: {detail}"


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """By nearest rank; None of nothing.

    Args:
        ordered: ascending.
        share: e.g. 0.95.
    """
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def per_transaction(decided: int, transactions: int) -> float | None:
    """Decided orders for each transaction: below 1 where orders were tried again; None of no transaction.

    Args:
        decided: orders that were accepted or refused. The commands of a store are no measure: each attempt counts.
        transactions: that were begun, also those that were rolled back.
    """
    return decided / transactions if transactions > 0 else None


def thinned(points: Sequence[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """At most so many of the points, evenly, the last one among them."""
    step = -(-len(points) // most) if points else 1
    kept = list(points[::step])
    return kept if not points or kept[-1] is points[-1] else [*kept, points[-1]]
