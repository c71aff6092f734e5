"""Colours, line styles and marks of all charts. Pure values.

Three things tell series apart, so that one of them is left in grey print and for a colour-blind reader: colour, line
style, mark; and each series is named beside its line. The colours are those of Okabe and Ito, the light ones darkened
until each has a contrast of 3:1 on white (https://jfly.uni-koeln.de/color/).

A picture is drawn in the light colours. A page makes it dark by the rules of `dark_rules`, which name the light
colours, so no light colour may stand for two things.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

Spec = dict[str, Any]

WIDE: Final = 720  # pixels of a chart in a page of a desktop
NARROW: Final = 340  # of a phone
# widths of letters are measured where the picture is drawn: these are equally wide, and one is nearly everywhere
FONT: Final = "Arial, Helvetica, Liberation Sans, Noto Sans, Noto Sans CJK KR, sans-serif"
LETTER: Final = 6.3  # pixels of a letter of a label, on average and generously

INK: Final = "#1c2530"
MUTED: Final = "#5b6675"
GRID: Final = "#dfe4ea"
PAPER: Final = "#ffffff"
FAINT: Final = "#b9c1cb"
GOOD: Final = "#d5ebdd"
MEANT: Final = "#fbe6c6"
BAD: Final = "#b3261e"
NOTHING: Final = "#f1f3f5"
DARK: Final[Mapping[str, str]] = {  # light: dark
    INK: "#e6ebf2",
    MUTED: "#a9b4c2",
    GRID: "#313b48",
    PAPER: "#161b22",
    FAINT: "#566273",
    GOOD: "#1d4a34",
    MEANT: "#594414",
    BAD: "#ff8a80",
    NOTHING: "#212933",
    "#0072b2": "#5ab8ef",
    "#d55e00": "#ff8f45",
    "#008a64": "#3fd3a4",
    "#aa4a86": "#ee9ccb",
    "#a87000": "#f0c04a",
    "#3d4a5c": "#c3cddb",
    "#6f7d00": "#c5d34a",
    "#6b4fbb": "#b9a5ff",
}
SERIES: Final = ("#0072b2", "#d55e00", "#008a64", "#aa4a86", "#a87000", "#3d4a5c", "#6f7d00", "#6b4fbb")
DASHES: Final = ((1, 0), (7, 3), (2, 2), (9, 3, 2, 3), (4, 2), (12, 4))
SHAPES: Final = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "triangle-right")


class Style(NamedTuple):
    """How a series looks.

    Attributes:
        colour: of the light page.
        dash: pixels of line and gap in turn.
        shape: of its marks.
    """

    colour: str
    dash: tuple[int, ...]
    shape: str


def styles(names: Sequence[str]) -> dict[str, Style]:
    """A style for each name, by its place; no two of the first 21 are the same, in grey neither."""
    found = {}
    for at, name in enumerate(names):
        dash = DASHES[(at + at // len(SERIES)) % len(DASHES)]
        found[name] = Style(SERIES[at % len(SERIES)], dash, SHAPES[at % len(SHAPES)])
    return found


def by_style(styled: Mapping[str, Style], field: str = "name") -> Spec:
    """Encodings that give each name its style: `color`, `strokeDash` and `shape`.

    Args:
        styled: the style of each name.
        field: that has the name.
    """
    base = {"field": field, "type": "nominal", "legend": None}
    looks = {
        "color": [each.colour for each in styled.values()],
        "strokeDash": [list(each.dash) for each in styled.values()],
        "shape": [each.shape for each in styled.values()],
    }
    return {what: {**base, "scale": {"domain": list(styled), "range": look}} for what, look in looks.items()}


def dark_rules(scope: str) -> str:
    """Rules of CSS that show pictures of the light colours in the dark ones.

    Args:
        scope: a selector of what has the pictures; empty: the picture itself.
    """
    before = f"{scope} " if scope else ""
    return "".join(
        f'{before}[{what}="{light}"]{{{what}:{dark}}}' for light, dark in DARK.items() for what in ("fill", "stroke")
    )


def chart(width: int, height: int, layers: Sequence[Spec]) -> Spec:
    """Layers in one picture.

    Args:
        width: of the plot, in pixels, without labels and axes.
        height: the same.
        layers: the lowest first.
    """
    return {"width": width, "height": height, "layer": list(layers), "config": dict(CONFIG)}


CONFIG: Final[Spec] = {
    "aria": False,  # the picture has one text alternative; a name for each of its marks would be noise
    "background": None,
    "font": FONT,
    "padding": {"left": 10, "right": 14, "top": 2, "bottom": 2},  # other fonts are wider
    "view": {"stroke": None},
    "axis": {
        "labelColor": MUTED,
        "titleColor": MUTED,
        "titleFontWeight": "normal",
        "titleFontSize": 12,
        "labelFontSize": 11,
        "gridColor": GRID,
        "domainColor": MUTED,
        "tickColor": MUTED,
        "titlePadding": 8,
        "labelLimit": 400,
        "titleLimit": 600,
    },
    "header": {"labelColor": INK, "labelFontSize": 11, "labelFontWeight": "bold", "title": None},
    "text": {"color": INK, "fontSize": 11, "limit": 400},
    "title": {"color": INK, "subtitleColor": MUTED, "anchor": "start", "offset": 12, "fontSize": 14, "limit": 1200},
}
