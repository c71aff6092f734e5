"""Lines over a number, with bands of uncertainty and events marked: throughput over time, sweeps. Pure functions.

Neighbour: `labels.py` moves the names at the ends apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from stockade.lab.charts.axis import Axis
from stockade.lab.charts.labels import apart
from stockade.lab.charts.theme import BAD, LETTER, MUTED, Spec, Style, by_style, chart

AXIS_ROOM: Final = 58  # pixels of the labels and the title on the left
GAP: Final = 10  # between the end of a line and its name
MARK_ROOM: Final = 18  # pixels of a mark: a line of more points has marks on some of them only
EVENT_ROOM: Final = 15  # above the plot, for a line of names of events
MOST_ROWS: Final = 4  # of names of events above each other


@dataclass(frozen=True, slots=True)
class Series:
    """A line.

    Attributes:
        name: shown at its end.
        style: of it.
        points: x and y of each.
        band: x, low and high of each; empty: no band.
    """

    name: str
    style: Style
    points: tuple[tuple[float, float], ...]
    band: tuple[tuple[float, float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened: a vertical line with its name, or a shaded time.

    Attributes:
        at: its x, or where it begins.
        label: its name.
        until: where it ends; None: it has no length.
    """

    at: float
    label: str
    until: float | None = None


def lines(
    series: Sequence[Series], x: Axis, y: Axis, *, width: int, height: int = 300, events: Sequence[Event] = ()
) -> Spec:
    """The specification of a chart of lines.

    Args:
        series: the lines.
        x: what is below.
        y: what is on the left.
        width: of the whole picture, in pixels.
        height: of the plot, in pixels.
        events: to mark.
    """
    name_room = max((len(each.name) for each in series), default=0) * LETTER + GAP
    across = max(int(width - AXIS_ROOM - name_room), 80)
    ends_x = x.ends([point[0] for each in series for point in each.points] + [event.at for event in events])
    in_bands = [value for each in series for _, low, high in each.band for value in (low, high)]
    ends_y = y.ends([point[1] for each in series for point in each.points] + in_bands)
    encoding: Spec = {
        "x": {"field": "x", "type": "quantitative", "scale": x.scale(ends_x), "axis": x.shown(ends_x, across // 50)},
        "y": {"field": "y", "type": "quantitative", "scale": y.scale(ends_y), "axis": y.shown(ends_y, height // 40)},
    }
    styled = by_style({each.name: each.style for each in series})
    layers = [*_spans(events, ends_x[1], encoding["x"]), *_bands(series, encoding, styled)]
    layers += _lines(series, encoding, styled, most=max(across // MARK_ROOM, 1))
    layers += _event_names(events, x, ends_x, across, encoding["x"])
    layers += _names(series, (x, y), (ends_x, ends_y), (across, height))
    return chart(across, height, layers)


def _lines(series: Sequence[Series], encoding: Spec, styled: Spec, *, most: int) -> list[Spec]:
    values = [{"name": each.name, "x": x, "y": y} for each in series for x, y in each.points]
    marked = [
        {"name": each.name, "x": x, "y": y}
        for each in series
        for x, y in each.points[:: max(-(-len(each.points) // most), 1)]
    ]
    by_name = {**encoding, "color": styled["color"]}
    line = {"type": "line", "strokeWidth": 2}
    mark = {"type": "point", "filled": True, "opacity": 1, "size": 46}
    return [
        {"data": {"values": values}, "mark": line, "encoding": {**by_name, "strokeDash": styled["strokeDash"]}},
        {"data": {"values": marked}, "mark": mark, "encoding": {**by_name, "shape": styled["shape"]}},
    ]


def _bands(series: Sequence[Series], encoding: Spec, styled: Spec) -> list[Spec]:
    values = [{"name": s.name, "x": x, "y": low, "high": high} for s in series for x, low, high in s.band]
    if not values:
        return []
    mark = {"type": "area", "opacity": 0.16}
    by_name = {**encoding, "y2": {"field": "high"}, "color": styled["color"]}
    return [{"data": {"values": values}, "mark": mark, "encoding": by_name}]


def _spans(events: Sequence[Event], end: float, x: Spec) -> list[Spec]:
    values = [{"x": each.at, "until": min(each.until, end)} for each in events if each.until is not None]
    if not values:
        return []
    mark = {"type": "rect", "color": BAD, "opacity": 0.10}
    return [{"data": {"values": values}, "mark": mark, "encoding": {"x": x, "x2": {"field": "until"}}}]


def _event_names(events: Sequence[Event], x: Axis, ends: tuple[float, float], across: int, field: Spec) -> list[Spec]:
    """A rule at each event and its name above, in as many rows as keep the names apart."""
    if not events:
        return []
    free = [0.0] * MOST_ROWS  # where each row of names is free again
    values = []
    for each in sorted(events, key=lambda event: event.at):
        place, room = x.place(each.at, ends) * across, len(each.label) * LETTER
        left = max(min(place, across - room), 0.0)
        row = next((n for n in range(MOST_ROWS) if free[n] <= left), MOST_ROWS - 1)
        free[row] = left + room + GAP
        values.append({"x": each.at, "label": each.label, "left": left, "top": -(row + 0.5) * EVENT_ROOM})
    text = {"type": "text", "align": "left", "baseline": "middle", "color": BAD}
    by_pixel = {"type": "quantitative", "scale": None, "axis": None}
    return [
        {
            "data": {"values": values},
            "mark": {"type": "rule", "color": BAD, "strokeDash": [3, 3], "strokeWidth": 1.2},
            "encoding": {"x": field},
        },
        {
            "data": {"values": values},
            "mark": text,
            "encoding": {
                "x": {"field": "left", **by_pixel},
                "y": {"field": "top", **by_pixel},
                "text": {"field": "label"},
            },
        },
    ]


def _names(
    series: Sequence[Series],
    axes: tuple[Axis, Axis],
    ends: tuple[tuple[float, float], tuple[float, float]],
    size: tuple[int, int],
) -> list[Spec]:
    """The name of each line beside its end, and a thin line to it where the name had to move."""
    shown = [each for each in series if each.points]
    if not shown:
        return []
    across, height = size
    last = [each.points[-1] for each in shown]
    px = [axes[0].place(x, ends[0]) * across for x, _ in last]
    py = [(1 - axes[1].place(y, ends[1])) * height for _, y in last]
    places = apart(py, height)
    by_pixel = {"type": "quantitative", "scale": None, "axis": None}
    rules = [
        {"x": a, "y": b, "x2": across + GAP - 2, "y2": c}
        for a, b, c in zip(px, py, places, strict=True)
        if across - a > GAP or abs(b - c) > GAP / 2
    ]
    to_name = {
        "data": {"values": rules},
        "mark": {"type": "rule", "color": MUTED, "strokeWidth": 0.6, "opacity": 0.7},
        "encoding": {
            "x": {"field": "x", **by_pixel},
            "y": {"field": "y", **by_pixel},
            "x2": {"field": "x2"},
            "y2": {"field": "y2"},
        },
    }
    names = {
        "data": {"values": [{"name": each.name, "y": y} for each, y in zip(shown, places, strict=True)]},
        "mark": {"type": "text", "align": "left", "baseline": "middle"},
        "encoding": {
            "x": {"value": across + GAP},
            "y": {"field": "y", **by_pixel},
            "text": {"field": "name"},
            "color": by_style({each.name: each.style for each in series})["color"],
        },
    }
    return [*([to_name] if rules else []), names]
