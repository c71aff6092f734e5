"""Empirical distributions as steps, a small panel for each, all others grey behind it. Pure functions.

Twelve steps in one panel cannot be told apart in any colours; one against all others can.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from stockade.lab.charts.axis import Axis
from stockade.lab.charts.theme import CONFIG, FAINT, INK, Spec, Style

AXIS_ROOM: Final = 52  # pixels of the labels and the title on the left
PANEL_GAP: Final = 18
LEAST_PANEL: Final = 108  # pixels of a panel
MOST_COLUMNS: Final = 5
MOST_STEPS: Final = 100  # of a line; more samples are shown by their quantiles


@dataclass(frozen=True, slots=True)
class Samples:
    """What one panel shows.

    Attributes:
        name: above it.
        style: of its line.
        values: measured, in any order; at least one.
    """

    name: str
    style: Style
    values: tuple[float, ...]


def steps(all_samples: Sequence[Samples], x: Axis, *, width: int, height: int = 92) -> Spec:
    """The specification of a chart of panels.

    Args:
        all_samples: a panel each.
        x: what is measured, the same scale in all panels.
        width: of the whole picture, in pixels.
        height: of a panel, in pixels.
    """
    beside = max(min((width - AXIS_ROOM) // (LEAST_PANEL + PANEL_GAP), len(all_samples), MOST_COLUMNS), 1)
    across = (width - AXIS_ROOM - PANEL_GAP * beside) // beside
    ends = x.ends([value for each in all_samples for value in each.values])
    curves = {each.name: empirical(each.values, ends) for each in all_samples}
    panels = [
        _panel(each, curves, x, ends, (across, height), left=at % beside == 0, low=at >= len(all_samples) - beside)
        for at, each in enumerate(all_samples)
    ]
    return {"concat": panels, "columns": beside, "spacing": PANEL_GAP, "config": CONFIG}


def empirical(values: Sequence[float], ends: tuple[float, float]) -> list[tuple[float, float]]:
    """The empirical distribution function: value and share of the samples that are not above it, from end to end."""
    ordered = sorted(values)
    count = len(ordered)
    ranks = sorted({math.ceil(count * n / MOST_STEPS) for n in range(1, MOST_STEPS + 1)})
    return [(ends[0], 0.0), *((ordered[rank - 1], rank / count) for rank in ranks), (ends[1], 1.0)]


def _panel(
    samples: Samples,
    curves: dict[str, list[tuple[float, float]]],
    x: Axis,
    ends: tuple[float, float],
    size: tuple[int, int],
    *,
    left: bool,
    low: bool,
) -> Spec:
    """One panel; only the first of a row has labels on its left, only the last of a column below it."""
    others = [
        {"x": at, "y": share, "of": name}
        for name, curve in curves.items()
        if name != samples.name
        for at, share in curve
    ]
    own = [{"x": at, "y": share} for at, share in curves[samples.name]]
    below = x.shown(ends, max(size[0] // 45, 2)) | ({} if low else {"title": None, "labels": False})
    beside = {"values": [0, 0.5, 1], "format": "%", "title": "of samples" if left else None, "labels": left}
    encoding = {
        "x": {"field": "x", "type": "quantitative", "scale": x.scale(ends), "axis": below},
        "y": {"field": "y", "type": "quantitative", "scale": {"domain": [0, 1]}, "axis": beside},
    }
    behind = {"type": "line", "interpolate": "step-after", "color": FAINT, "strokeWidth": 0.8}
    front = {
        "type": "line",
        "interpolate": "step-after",
        "color": samples.style.colour,
        "strokeWidth": 2.4,
    }
    return {
        "width": size[0],
        "height": size[1],
        "title": {"text": samples.name, "fontSize": 11, "color": INK, "offset": 4, "anchor": "start"},
        "layer": [
            {"data": {"values": others}, "mark": behind, "encoding": {**encoding, "detail": {"field": "of"}}},
            {"data": {"values": own}, "mark": front, "encoding": encoding},
        ],
    }
