"""Numbers of a report: how they are written, and the interval of a median. Pure functions."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

CONFIDENCE = 0.95


class Middle(NamedTuple):
    """A median with its interval."""

    value: float
    low: float
    high: float

    def apart(self, other: "Middle") -> bool:
        """Whether the intervals do not touch."""
        return self.high < other.low or other.high < self.low


def middle(samples: Sequence[float]) -> Middle:
    """The median and the interval in which the true one lies in 95 of 100 cases, without assuming a distribution.

    The interval goes from the k-th smallest to the k-th largest sample, with the greatest k for which the binomial
    distribution says so; of fewer than 6 samples it is their range. Source: Conover, Practical Nonparametric
    Statistics, section 3.2.

    Args:
        samples: at least one.
    """
    ordered = sorted(samples)
    count, left_out, tail = len(ordered), 0, 0.0
    while left_out < count // 2:
        tail += math.comb(count, left_out) / 2**count
        if tail > (1 - CONFIDENCE) / 2:
            break
        left_out += 1
    at = max(left_out - 1, 0)
    return Middle(statistics.median(ordered), ordered[at], ordered[count - 1 - at])


def ms(value: float) -> str:
    """Milliseconds in few characters."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def few(value: float) -> str:
    """Any number in few characters."""
    return f"{value:,.0f}" if float(value).is_integer() else ms(value)


def jain(shares: Sequence[float]) -> float:
    """Jain's index of fairness: 1 if all have the same, 1/n if one has everything.

    Source: Jain, Chiu, Hawe, A Quantitative Measure of Fairness and Discrimination, DEC-TR-301, 1984.

    Args:
        shares: of each; none is negative.
    """
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 1.0
