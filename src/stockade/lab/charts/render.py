"""Pictures of specifications: SVG and PNG through vl-convert, without a browser and without a network.

vl-convert starts an engine for JavaScript at the first picture, which takes most of a second; each later one takes some
hundredths. It draws with the fonts of the machine, and with a few of its own. Neighbours: the other files here make
specifications.
"""

import re
from html import escape
from typing import Any, Final

from stockade.lab.charts.theme import PAPER, Spec, dark_rules
from stockade.lab.errors import LabError

SCALE: Final = 2.0  # pixels of a PNG for each of the specification: sharp on paper
ROLES: Final = re.compile(r' (?:role|aria-[a-z]+)="[^"]*"')
EMPTY: Final = re.compile(r'<path class="(?:fore|back)ground"[^>]*?(?: d=""|d="M0,0h0v0h0Z")[^>]*?/>')
TAG: Final = re.compile(r"<[^<>]*>")


class ChartsMissing(LabError):
    """The library that draws is not installed."""

    def __init__(self) -> None:
        super().__init__("charts need a library that is not installed: pip install 'stockade[charts]'")


def svg(spec: Spec, *, alternative: str = "", alone: bool = False) -> str:
    """The picture as text.

    It has no style attributes, no scripts and no addresses, so that it may stand in a page with a strict policy.

    Args:
        spec: made by a builder.
        alternative: what a screen reader says instead; empty: nothing, the picture is decoration.
        alone: a file of its own: with a background and its dark colours; else the page has the rules.

    Raises:
        ChartsMissing: vl-convert is not installed.
    """
    drawn = _library().vegalite_to_svg(_on_paper(spec) if alone else spec, allowed_base_urls=[])
    drawn = TAG.sub(lambda tag: ROLES.sub("", tag[0]), EMPTY.sub("", drawn)).replace(' opacity="1"', "")
    said = f'role="img" aria-label="{escape(alternative)}"' if alternative else 'aria-hidden="true"'
    head, _, rest = drawn.partition(">")
    head = head.replace(' class="marks"', "").replace(' version="1.1"', "")
    head = head.replace(' xmlns:xlink="http://www.w3.org/1999/xlink"', "")
    style = f"<style>@media (prefers-color-scheme:dark){{{dark_rules('')}}}</style>" if alone else ""
    return f"{head} {said}>{style}{rest}"


def png(spec: Spec, *, scale: float = SCALE) -> bytes:
    """The picture as a PNG on white.

    Args:
        spec: made by a builder.
        scale: pixels for each of the specification.

    Raises:
        ChartsMissing: vl-convert is not installed.
    """
    drawn: bytes = _library().vegalite_to_png(_on_paper(spec), scale=scale, allowed_base_urls=[])
    return drawn


def titled(spec: Spec, title: str, subtitle: str = "") -> Spec:
    """The specification of a picture that stands alone, with its title above."""
    return spec | {"title": {"text": title, **({"subtitle": subtitle} if subtitle else {})}}


def _on_paper(spec: Spec) -> Spec:
    return spec | {"background": PAPER, "padding": 12}


def _library() -> Any:
    try:
        import vl_convert
    except ImportError:
        raise ChartsMissing from None
    return vl_convert
