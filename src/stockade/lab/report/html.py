"""A report as one HTML file without scripts: it fetches nothing, and its policy allows nothing but its own style.

Each chart is drawn twice, for a wide and for a narrow page; style sheets show one of them. Neighbours: `templates/`
has the page and its style, `page.py` what is in it.
"""

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Any, Final

import jinja2

from stockade.lab.charts import NARROW, WIDE, dark_rules, svg
from stockade.lab.report.page import Cell, Figure, Listing, Report, Table

FOLDER: Final = Path(__file__).parent / "templates"
POLICY: Final = "default-src 'none'; style-src 'sha256-{}'; img-src 'none'; base-uri 'none'; form-action 'none'"


def html(report: Report) -> str:
    """The whole file.

    Raises:
        ChartsMissing: the library that draws is not installed.
    """
    style = style_sheet()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    pictures = {figure.name: _pictures(figure) for figure in report.figures}
    page = _environment().get_template("report.html.jinja")
    return page.render(report=report, policy=POLICY.format(digest), style=_Safe(style), pictures=pictures)


def style_sheet() -> str:
    """The style of the page; its hash stands in the policy."""
    text = (FOLDER / "report.css").read_text(encoding="utf-8")
    return f"{text}@media screen and (prefers-color-scheme: dark) {{ {dark_rules('.chart')} }}\n"


def _pictures(figure: Figure) -> dict[str, str]:
    """The chart for a wide and for a narrow page; whichever is not shown is not read out either."""
    said = f"{figure.title}. {figure.says}"
    return {
        name: _Safe(svg(figure.draw(width), alternative=said).replace(' xmlns="http://www.w3.org/2000/svg"', "", 1))
        for name, width in (("wide", WIDE), ("narrow", NARROW))
    }


class _Safe(str):
    """Text that is HTML already: ours, or drawn by the library, which escapes what it draws."""

    __slots__ = ()

    def __html__(self) -> str:
        return self


@cache
def _environment() -> jinja2.Environment:
    loaded = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    tests: dict[str, Any] = {"figure": Figure, "table": Table, "listing": Listing, "styled": Cell}
    for name, kind in tests.items():
        loaded.tests[name] = lambda value, kind=kind: isinstance(value, kind)
    return loaded
