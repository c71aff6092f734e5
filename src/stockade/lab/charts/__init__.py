"""Charts of the lab: specifications of Vega-Lite as plain values, and their pictures.

`theme.py` has colours, line styles and marks, `axis.py` scales, `lines.py`, `bars.py`, `strips.py`, `steps.py` and
`matrix.py` a shape each, `render.py` makes SVG and PNG of a specification. Nothing here knows what is drawn: the report
and the live page do. A chart is drawn for one width; a page that is shown on a phone too needs it twice.

Source: https://vega.github.io/vega-lite/docs/
"""

from stockade.lab.charts.axis import Axis
from stockade.lab.charts.bars import Bar, bars
from stockade.lab.charts.lines import Event, Series, lines
from stockade.lab.charts.matrix import Cell, matrix
from stockade.lab.charts.render import ChartsMissing, png, svg, titled
from stockade.lab.charts.steps import Samples, steps
from stockade.lab.charts.strips import Strip, strips
from stockade.lab.charts.theme import NARROW, WIDE, Spec, Style, dark_rules, styles

__all__ = [
    "NARROW",
    "WIDE",
    "Axis",
    "Bar",
    "Cell",
    "ChartsMissing",
    "Event",
    "Samples",
    "Series",
    "Spec",
    "Strip",
    "Style",
    "bars",
    "dark_rules",
    "lines",
    "matrix",
    "png",
    "steps",
    "strips",
    "styles",
    "svg",
    "titled",
]
