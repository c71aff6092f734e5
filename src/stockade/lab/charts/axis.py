"""Scales of charts: their ends, their ticks, and where a value is. Pure functions.

The ends are computed here and not by Vega, because labels beside lines are moved apart before anything is drawn.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from stockade.lab.charts.theme import Spec

LEAST: Final = 1e-3  # of a logarithmic scale; anything below is shown there
MOST_TICKS: Final = 8
ROOM: Final = 1.04  # of a scale for its highest value, so that no mark is cut
DECADE_STEPS: Final = (1, 2, 5)


@dataclass(frozen=True, slots=True)
class Axis:
    """What is measured along a side of a chart.

    Attributes:
        title: with the unit.
        log: logarithmic; for values over several powers of ten.
        most: the end of the scale; None: from the values.
        least: its beginning; None: 0, or from the values on a logarithmic scale.
        ticks: where the labels are; empty: computed.
    """

    title: str
    log: bool = False
    most: float | None = None
    least: float | None = None
    ticks: tuple[float, ...] = ()

    def ends(self, values: Iterable[float]) -> tuple[float, float]:
        """Both ends of the scale for these values."""
        finite = [value for value in values if math.isfinite(value)] or [1.0]
        if self.log:
            low = max(min(finite) / ROOM, LEAST) if self.least is None else self.least
            high = max(max(finite) * ROOM, low * 2) if self.most is None else self.most
            return low, high
        low = min(*finite, 0.0) if self.least is None else self.least
        high = max(finite) * ROOM if self.most is None else self.most
        return low, high if high > low else low + 1

    def place(self, value: float, ends: tuple[float, float]) -> float:
        """Where a value is between the ends, from 0 to 1."""
        low, high = ends
        value = min(max(value, low), high)
        if self.log:
            return math.log(max(value, LEAST) / low) / math.log(high / low)
        return (value - low) / (high - low)

    def scale(self, ends: tuple[float, float]) -> Spec:
        """Of an encoding."""
        return {"type": "log" if self.log else "linear", "domain": list(ends), "nice": False, "zero": False}

    def shown(self, ends: tuple[float, float], most_ticks: int = MOST_TICKS) -> dict[str, Any]:
        """Of an encoding: title and ticks."""
        found: dict[str, Any] = {"title": self.title}
        if self.ticks:
            found |= {"values": list(self.ticks), "format": "~f"}
        elif self.log:
            found |= {"values": list(log_ticks(ends, most_ticks)), "format": "~f"}
        else:
            found |= {"tickCount": max(most_ticks - 1, 3)}
        return found


def log_ticks(ends: tuple[float, float], most: int = MOST_TICKS) -> Sequence[float]:
    """Round values of a logarithmic scale: 1, 2 and 5 of each power of ten, or fewer, at most so many."""
    low, high = ends
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in (DECADE_STEPS, (1, 3), (1,)):
        found = [step * 10.0**power for power in powers for step in steps]
        found = [tick for tick in found if low <= tick <= high]
        if len(found) <= most:
            return found
    return found[:: math.ceil(len(found) / most)]
