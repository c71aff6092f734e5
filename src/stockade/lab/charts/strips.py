"""Rows of marks on one scale: every sample as a tick, what is typical as a mark, and others beside. Pure functions.

A row tells more than a bar of the mean: whether the samples lie close, in two groups, or far out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from stockade.lab.charts.axis import Axis
from stockade.lab.charts.theme import INK, LETTER, MUTED, PAPER, Spec, Style, chart

ROW: Final = 28  # pixels
GAP: Final = 14
ENOUGH: Final = 100  # pixels of a plot at least
TICKS: Final = 120  # of a row at most; more cannot be told apart


@dataclass(frozen=True, slots=True)
class Strip:
    """A row.

    Attributes:
        name: on the left; names must differ.
        style: of its marks.
        samples: each a thin tick.
        marks: values with a filled mark each, the first one large; those after it are joined to it by a line.
        label: on the right, as text.
        beside: a hollow diamond: a value of someone else; None: there is none.
    """

    name: str
    style: Style
    samples: tuple[float, ...] = ()
    marks: tuple[float, ...] = ()
    label: str = ""
    beside: float | None = None


def strips(rows: Sequence[Strip], x: Axis, *, width: int) -> Spec:
    """The specification of a chart of rows, from above to below in their order.

    Args:
        rows: of the chart.
        x: what is measured.
        width: of the whole picture, in pixels.
    """
    name_room = max((len(row.name) for row in rows), default=0) * LETTER + GAP
    label_room = max((len(row.label) for row in rows), default=0) * LETTER + GAP
    across = max(int(width - name_room - label_room), ENOUGH)
    everything = [value for row in rows for value in (*row.samples, *row.marks)]
    ends = x.ends(everything + [row.beside for row in rows if row.beside is not None])
    along = {"field": "x", "type": "quantitative", "scale": x.scale(ends), "axis": x.shown(ends, across // 60)}
    by_name = {
        "field": "name",
        "type": "nominal",
        "sort": [row.name for row in rows],
        "axis": {"title": None, "labelColor": INK, "ticks": False, "domain": False, "grid": True, "labelPadding": 6},
    }
    at = {"y": by_name, "x": along}
    layers = [layer for row in rows for layer in _row(row, at)]
    layers.append(
        {
            "data": {"values": [{"name": row.name, "label": row.label} for row in rows]},
            "mark": {"type": "text", "align": "left", "baseline": "middle"},
            "encoding": {"y": by_name, "x": {"value": across + GAP - 4}, "text": {"field": "label"}},
        }
    )
    beside = [{"name": row.name, "x": row.beside} for row in rows if row.beside is not None]
    if beside:
        mark = {"type": "point", "shape": "diamond", "fill": PAPER, "color": INK, "size": 90, "strokeWidth": 1.6}
        layers.append({"data": {"values": beside}, "mark": mark, "encoding": at})
    return chart(across, max(len(rows), 1) * ROW, layers)


def _row(row: Strip, at: Spec) -> list[Spec]:
    colour = row.style.colour
    every = max(-(-len(row.samples) // TICKS), 1)
    layers: list[Spec] = []
    if row.samples:
        values = [{"name": row.name, "x": value} for value in sorted(row.samples)[::every]]
        mark = {"type": "tick", "color": colour, "opacity": 0.45, "thickness": 1.4, "height": {"band": 0.62}}
        layers.append({"data": {"values": values}, "mark": mark, "encoding": at})
    if len(row.marks) > 1:
        values = [{"name": row.name, "x": min(row.marks), "far": max(row.marks)}]
        mark = {"type": "rule", "color": MUTED, "strokeWidth": 1.2}
        layers.append({"data": {"values": values}, "mark": mark, "encoding": {**at, "x2": {"field": "far"}}})
    for n, value in enumerate(row.marks):
        mark = {
            "type": "point",
            "shape": row.style.shape if n == 0 else "stroke",
            "angle": 0 if n == 0 else 90,
            "fill": colour if n == 0 else None,
            "color": colour,
            "size": 100 if n == 0 else 160 - 50 * n,
            "strokeWidth": 1 if n == 0 else 2.4,
        }
        layers.append({"data": {"values": [{"name": row.name, "x": value}]}, "mark": mark, "encoding": at})
    return layers
