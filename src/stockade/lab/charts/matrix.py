"""A matrix of verdicts: a fill and a word in each cell, so that colour says nothing alone. Pure functions."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from stockade.lab.charts.theme import BAD, GOOD, INK, LETTER, MEANT, MUTED, NOTHING, PAPER, Spec, chart

ROW: Final = 24  # pixels
LEAST_COLUMN: Final = 34
GAP: Final = 14
FILLS: Final[Mapping[str, str]] = {"good": GOOD, "meant": MEANT, "bad": BAD, "nothing": NOTHING}


class Cell(NamedTuple):
    """A cell.

    Attributes:
        row: its name.
        column: its name.
        mark: the word in it, short.
        kind: of `FILLS`: good, meant (broken, as it must be), bad, nothing.
    """

    row: str
    column: str
    mark: str
    kind: str


def matrix(cells: Sequence[Cell], *, width: int) -> Spec:
    """The specification of a matrix; rows and columns stand in the order in which they appear.

    Args:
        cells: of the matrix.
        width: of the whole picture, in pixels; it is wider where the columns need it.
    """
    rows = list(dict.fromkeys(cell.row for cell in cells))
    columns = list(dict.fromkeys(cell.column for cell in cells))
    name_room = max((len(name) for name in rows), default=0) * LETTER + GAP
    word = max((len(cell.mark) for cell in cells), default=0) * LETTER
    column = max((width - name_room) / max(len(columns), 1), word + 4, LEAST_COLUMN)
    values = [cell._asdict() for cell in cells]
    axis = {"title": None, "ticks": False, "domain": False, "labelColor": INK}
    at = {
        "x": {
            "field": "column",
            "type": "nominal",
            "sort": columns,
            "axis": {**axis, "orient": "top", "labelAngle": -40, "labelAlign": "left", "labelOffset": 0},
        },
        "y": {"field": "row", "type": "nominal", "sort": rows, "axis": axis},
    }
    fill = {"field": "kind", "type": "nominal", "scale": _scale(list(FILLS.values())), "legend": None}
    text = {"field": "kind", "type": "nominal", "scale": _scale([INK, INK, PAPER, MUTED]), "legend": None}
    return chart(
        int(column * len(columns)),
        ROW * len(rows),
        [
            {
                "data": {"values": values},
                "mark": {"type": "rect", "stroke": PAPER, "strokeWidth": 2},
                "encoding": {**at, "fill": fill},
            },
            {
                "data": {"values": values},
                "mark": {"type": "text", "baseline": "middle"},
                "encoding": {**at, "text": {"field": "mark"}, "color": text},
            },
        ],
    ) | {"resolve": {"scale": {"color": "independent", "fill": "independent"}}}


def _scale(colours: list[str]) -> Spec:
    return {"domain": list(FILLS), "range": colours}
