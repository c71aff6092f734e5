"""Numbers of a report: how they are written, and when two medians are apart. Pure functions.

Neighbour: `lab/sweeps/analysis/statistics.py` has the interval of a median.
"""

import math
from collections.abc import Sequence

from stockade.lab.sweeps.analysis.crossovers import TRUSTED
from stockade.lab.sweeps.analysis.statistics import Interval


def trusted(found: Interval) -> bool:
    """Whether an interval rests on enough samples to decide anything; that of one sample has no width at all."""
    return found.coverage >= TRUSTED


def apart(one: Interval, other: Interval) -> bool:
    """Whether two medians differ: their intervals do not touch, and both can be trusted."""
    return trusted(one) and trusted(other) and (one.high < other.low or other.high < one.low)


def between(found: Interval | None) -> str:
    """An interval and with which probability it covers the median: `47.1 to 52.3 (95 %)`; that of one sample is none.

    Args:
        found: None: nothing was measured.
    """
    if found is None:
        return ""
    if found.samples < 2:
        return "none: one sample"
    return f"{few(found.low)} to {few(found.high)} ({math.floor(found.coverage * 100)} %)"


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
