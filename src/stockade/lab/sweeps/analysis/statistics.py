"""Medians with intervals that assume no distribution, and paired comparisons. Pure functions.

The interval of a median lies between two order statistics: the number of samples below the median is binomial with
p = 1/2, whatever they are distributed like (David and Nagaraja, "Order Statistics", 3rd edition 2003, section 7.1).
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from stockade.core import JsonValue

WANTED: Final = 0.95
DIGITS: Final = 5  # of figures in the document


@dataclass(frozen=True, slots=True)
class Interval:
    """A median, and between which values it lies.

    Attributes:
        median: of the samples.
        low: lower end.
        high: upper end.
        coverage: with which probability the true median lies between them; less than 0.95 if there are too few samples.
        samples: how many there were.
    """

    median: float
    low: float
    high: float
    coverage: float
    samples: int

    def as_json(self) -> dict[str, JsonValue]:
        """Its members, rounded to five digits."""
        return {
            "median": rounded(self.median),
            "low": rounded(self.low),
            "high": rounded(self.high),
            "coverage": round(self.coverage, 4),
            "samples": self.samples,
        }


def interval(samples: Sequence[float]) -> Interval:
    """The median with the narrowest interval of order statistics that has 95 %; that of all samples, if none has.

    Args:
        samples: at least one.

    Raises:
        ValueError: there is none.
    """
    if not samples:
        raise ValueError("an interval needs at least one sample")
    ordered, count = sorted(samples), len(samples)
    drop = 0  # samples that are left out at each end
    while drop + 1 <= (count - 1) // 2 and coverage(count, drop + 1) >= WANTED:
        drop += 1
    low, high = ordered[drop], ordered[count - 1 - drop]
    return Interval(statistics.median(ordered), low, high, coverage(count, drop), count)


def coverage(count: int, drop: int) -> float:
    """With which probability the median lies between the samples that are left.

    Args:
        count: of samples.
        drop: how many are left out at each end.
    """
    outside = sum(math.comb(count, below) for below in range(drop + 1)) / 2**count
    return 1.0 - 2.0 * float(outside)


def ratios(first: Sequence[float], second: Sequence[float]) -> Interval | None:
    """The ratio first/second of samples that were taken in the same rounds; None: there is none of both.

    Args:
        first: one sample a round.
        second: of the same rounds, in the same order.

    Raises:
        ValueError: their numbers differ.
    """
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a > 0 and b > 0]
    return interval([a / b for a, b in pairs]) if pairs else None


def inversions(arrivals: Sequence[tuple[int, int]]) -> float:
    """How unfair the waiting was: of all pairs, the share in which who came later was served first.

    0 is first come, first served; 0.5 is chance; 1 is last come, first served (Kendall, "A New Measure of Rank
    Correlation", Biometrika 1938: the normalized distance).

    Args:
        arrivals: of every caller the moments of coming and of being served, on one clock.
    """
    served = [end for _, end in sorted(arrivals)]
    pairs = len(served) * (len(served) - 1) // 2
    return _inverted(served)[0] / pairs if pairs else 0.0


def _inverted(values: list[int]) -> tuple[int, list[int]]:
    """How many pairs are in the wrong order, and the values sorted: a merge sort that counts."""
    if len(values) < 2:
        return 0, values
    middle = len(values) // 2
    (left_count, left), (right_count, right) = _inverted(values[:middle]), _inverted(values[middle:])
    count, merged, at = left_count + right_count, list[int](), 0
    for value in right:
        while at < len(left) and left[at] <= value:
            merged.append(left[at])
            at += 1
        count += len(left) - at
        merged.append(value)
    return count, merged + left[at:]


def rounded(value: float) -> float:
    """The value with five digits."""
    return float(f"{value:.{DIGITS}g}")
