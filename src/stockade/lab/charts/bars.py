"""Horizontal bars, each with its name on the left, its value beside it and its interval. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from stockade.lab.charts.axis import Axis
from stockade.lab.charts.theme import INK, LETTER, Spec, chart

ROW: Final = 26  # pixels of a bar and its gap
GAP: Final = 14
ENOUGH: Final = 100  # pixels of a plot at least


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar.

    Attributes:
        name: on its left.
        value: its length.
        label: beside it: the value as text.
        colour: of the light page.
        low: where its interval begins; None: it has none.
        high: where its interval ends.
    """

    name: str
    value: float
    label: str
    colour: str
    low: float | None = None
    high: float | None = None


def bars(rows: Sequence[Bar], x: Axis, *, width: int) -> Spec:
    """The specification of a chart of bars, from above to below in their order.

    Args:
        rows: the bars; names must differ.
        x: what is measured; a bar begins at 0, so it must not be logarithmic.
        width: of the whole picture, in pixels.
    """
    name_room = max((len(row.name) for row in rows), default=0) * LETTER + GAP
    label_room = max((len(row.label) for row in rows), default=0) * LETTER + GAP
    across = max(int(width - name_room - label_room), ENOUGH)
    ends = x.ends([row.value for row in rows] + [row.high for row in rows if row.high is not None])
    order = [row.name for row in rows]
    values = [{"name": r.name, "x": r.value, "label": r.label, "far": max(r.value, r.high or 0)} for r in rows]
    along = {"type": "quantitative", "scale": x.scale(ends), "axis": x.shown(ends, across // 44)}
    by_name = {
        "field": "name",
        "type": "nominal",
        "sort": order,
        "axis": {"title": None, "labelColor": INK, "ticks": False, "domain": False, "labelPadding": 6},
    }
    colour = {
        "field": "name",
        "scale": {"domain": order, "range": [row.colour for row in rows]},
        "legend": None,
        "type": "nominal",
    }
    intervals = [{"name": r.name, "low": r.low, "high": r.high} for r in rows if r.low is not None]
    layers: list[Spec] = [
        {
            "data": {"values": values},
            "mark": {"type": "bar", "height": {"band": 0.66}},
            "encoding": {"y": by_name, "x": {"field": "x", **along}, "color": colour},
        },
        {
            "data": {"values": values},
            "mark": {"type": "text", "align": "left", "dx": 6, "baseline": "middle"},
            "encoding": {"y": by_name, "x": {"field": "far", **along}, "text": {"field": "label"}},
        },
    ]
    if intervals:
        rule = {
            "data": {"values": intervals},
            "mark": {"type": "rule", "color": INK, "strokeWidth": 1.4},
            "encoding": {"y": by_name, "x": {"field": "low", **along}, "x2": {"field": "high"}},
        }
        layers.insert(1, rule)
    return chart(across, max(len(rows), 1) * ROW, layers)
