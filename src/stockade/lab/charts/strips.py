"""Rows of marks on one scale: every sample as a tick, what is typical as a mark, and others beside. Pure functions.

A row tells more than a bar of the mean: whether the samples lie close, in two groups, or far out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from stockade.lab.charts.axis import Axis
from stockade.lab.charts.theme import INK, LETTER, MUTED, PAPER, Spec, Style, by_style, chart

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
        marks: values; the first one is a filled mark, those after it are bars across, and a line joins all.
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
    ends = x.ends(
        [value for row in rows for value in (*row.samples, *row.marks)]
        + [row.beside for row in rows if row.beside is not None]
    )
    along = {"field": "x", "type": "quantitative", "scale": x.scale(ends), "axis": x.shown(ends, across // 44)}
    by_name = {
        "field": "name",
        "type": "nominal",
        "sort": [row.name for row in rows],
        "axis": {"title": None, "labelColor": INK, "ticks": False, "domain": False, "grid": True, "labelPadding": 6},
    }
    at = {"y": by_name, "x": along}
    styled = by_style({row.name: row.style for row in rows})
    label = {"type": "text", "align": "left", "baseline": "middle"}
    beside_label = {"y": by_name, "x": {"value": across + GAP - 4}, "text": {"field": "label"}}
    layers: list[Spec] = [*_samples(rows, at, styled), *_marks(rows, at, styled)]
    values = [{"name": row.name, "label": row.label} for row in rows if row.label]
    layers.append({"data": {"values": values}, "mark": label, "encoding": beside_label})
    beside = [{"name": row.name, "x": row.beside} for row in rows if row.beside is not None]
    if beside:
        mark = {"type": "point", "shape": "diamond", "fill": PAPER, "color": INK, "size": 90, "strokeWidth": 1.6}
        layers.append({"data": {"values": beside}, "mark": mark, "encoding": at})
    return chart(across, max(len(rows), 1) * ROW, layers)


def _samples(rows: Sequence[Strip], at: Spec, styled: Spec) -> list[Spec]:
    values = [
        {"name": row.name, "x": value}
        for row in rows
        for value in sorted(row.samples)[:: max(-(-len(row.samples) // TICKS), 1)]
    ]
    mark = {"type": "tick", "opacity": 0.45, "thickness": 1.4, "height": {"band": 0.62}}
    encoding = {**at, "color": styled["color"]}
    return [{"data": {"values": values}, "mark": mark, "encoding": encoding}] if values else []


def _marks(rows: Sequence[Strip], at: Spec, styled: Spec) -> list[Spec]:
    joined = [{"name": r.name, "x": min(r.marks), "far": max(r.marks)} for r in rows if len(r.marks) > 1]
    others = [{"name": row.name, "x": value} for row in rows for value in row.marks[1:]]
    first = [{"name": row.name, "x": row.marks[0]} for row in rows if row.marks]
    across = {"type": "tick", "thickness": 2.4, "height": {"band": 0.42}}
    point = {"type": "point", "filled": True, "opacity": 1, "size": 100}
    coloured = {**at, "color": styled["color"]}
    layers: list[Spec] = []
    if joined:
        rule = {"type": "rule", "color": MUTED, "strokeWidth": 1.2}
        layers.append({"data": {"values": joined}, "mark": rule, "encoding": {**at, "x2": {"field": "far"}}})
        layers.append({"data": {"values": others}, "mark": across, "encoding": coloured})
    if first:
        layers.append({"data": {"values": first}, "mark": point, "encoding": {**coloured, "shape": styled["shape"]}})
    return layers
