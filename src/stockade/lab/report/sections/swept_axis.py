"""The axis of a sweep as the charts of a report have it: its name, its scale, its ticks.

Neighbours: `sweeps.py` draws rates over it, `swept_cost.py` what an order costs.
"""

from collections.abc import Sequence
from typing import Final

from stockade.lab.charts import Axis

LOG_FROM: Final = 8  # an axis whose last value is so many times its first one is logarithmic
TITLES: Final = {
    "buyers": "number of buyers",
    "section": "length of the transaction",
    "skew": "skew of the buyers' choice",
    "latency": "latency of the database",
}


def name_of(axis: str) -> str:
    """The axis in words, as in the title of a chart."""
    return TITLES.get(axis, axis)


def across(axis: str, unit: str, values: Sequence[float]) -> Axis:
    """What is below a chart over it, with a tick at each value that was measured.

    Args:
        axis: its name.
        unit: of its values.
        values: that are drawn; at least one.
    """
    name = name_of(axis)
    return Axis(
        name if unit in name else f"{name}, {unit}",
        log=wide(values),
        least=min(values),
        most=max(values),
        ticks=tuple(sorted(set(values))),
    )


def wide(values: Sequence[float]) -> bool:
    """Whether values are so far apart that their scale is logarithmic."""
    return min(values) > 0 and max(values) >= LOG_FROM * min(values)
