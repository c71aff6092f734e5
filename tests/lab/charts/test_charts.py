"""Charts: specifications of plain values, and pictures that a page with a strict policy can hold."""

import json
import re
from functools import cache
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.lab.charts import (
    Axis,
    Bar,
    Cell,
    Event,
    Samples,
    Series,
    Strip,
    bars,
    lines,
    matrix,
    png,
    steps,
    strips,
    styles,
    svg,
    titled,
)
from stockade.lab.charts.axis import log_ticks
from stockade.lab.charts.labels import apart
from stockade.lab.charts.steps import empirical
from stockade.lab.charts.theme import DARK, SERIES, dark_rules

EVIL = '<script>alert(1)</script>"&'
LOOK = styles(["a", "b"])
MS = Axis("ms", log=True)


def specs(name="a", width=720):
    """One specification of each shape, with this name in it."""
    look = LOOK["a"]
    return {
        "bars": bars(
            [Bar(name, 3.0, name, look.colour, 2.0, 4.0), Bar("b", 1.0, "1", look.colour)], Axis(name), width=width
        ),
        "lines": lines(
            [Series(name, look, ((0, 1), (1, 2)), ((0, 0.5, 1.5), (1, 1, 3))), Series("b", LOOK["b"], ((0, 1),))],
            Axis(name),
            Axis("rate"),
            width=width,
            events=[Event(0.2, name, 0.5), Event(0.3, "other")],
        ),
        "strips": strips(
            [Strip(name, look, (1.0, 2.0), (1.5, 2.0), name, 9.0), Strip("b", LOOK["b"])], MS, width=width
        ),
        "steps": steps([Samples(name, look, (1.0, 2.0)), Samples("b", LOOK["b"], (3.0,))], MS, width=width),
        "matrix": matrix([Cell(name, "x", "ok", "good"), Cell("b", "x", name, "bad")], width=width),
    }


@cache
def picture(shape, *, alone=False):
    """One drawing of each shape for all tests that look at it: drawing takes most of their time."""
    return svg(specs()[shape], alone=alone)


@pytest.mark.parametrize("shape", specs())
def test_a_picture_can_stand_in_a_page_with_a_strict_policy(shape):
    """It is XML, without scripts, inline styles, addresses and ids; names in it are only text."""
    drawn = svg(titled(specs(EVIL, width=340)[shape], EVIL, EVIL), alternative=EVIL)
    root = ElementTree.fromstring(drawn)
    assert root.get("aria-label") == EVIL
    assert not re.search(r'<script|<style| style="| id="|href|url\(| on\w+="| role="(?!img)', drawn)


@pytest.mark.parametrize("shape", specs())
def test_a_picture_is_the_same_each_time(shape):
    """A committed picture changes only with its figures; its specification is plain JSON."""
    assert picture(shape, alone=True) == svg(json.loads(json.dumps(specs()[shape])), alone=True)


def test_a_picture_alone_has_its_dark_colours():
    """A file of its own has a background and the rules; one in a page has neither."""
    assert "prefers-color-scheme:dark" in picture("bars", alone=True)
    assert "<style>" not in picture("bars")
    assert png(specs()["bars"], scale=1).startswith(b"\x89PNG")


def test_every_colour_of_a_picture_has_a_dark_one():
    """Dark pages name the light colours, so one that is not in the list would stay as it is."""
    for name in specs():
        colours = set(re.findall(r'(?:fill|stroke)="(#[0-9a-fA-F]{3,6}|[a-z]+)"', picture(name, alone=True)))
        assert colours - {"none", "transparent"} <= set(DARK), name
    assert all(f'[stroke="{colour}"]' in dark_rules(".chart") for colour in SERIES)


def contrast(one, other):
    """The contrast of two colours by WCAG 2."""

    def luminance(colour):
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts]
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_colours_can_be_seen():
    """A line has 3:1 on its background, text 4.5:1, light and dark."""
    paper = "#ffffff"
    for colour in SERIES:
        assert contrast(colour, paper) >= 3
        assert contrast(DARK[colour], DARK[paper]) >= 3
    for colour in ("#1c2530", "#5b6675", "#b3261e"):
        assert contrast(colour, paper) >= 4.5
        assert contrast(DARK[colour], DARK[paper]) >= 4.5


def test_styles_differ_without_colour():
    """Of 21 names (the lab has fewer contenders) no two have the same line and mark, so that grey is enough."""
    found = styles([str(number) for number in range(21)])
    assert len({(each.dash, each.shape) for each in found.values()}) == 21


@given(st.lists(st.floats(0, 300), max_size=20))
def test_names_beside_lines_do_not_touch(places):
    """They keep their order and stay in the picture, wherever the lines end."""
    found = apart(places, 300)
    height = min(13.0, 300 / max(len(places), 1))
    ordered = sorted(found)
    assert all(high - low >= height - 1e-6 for low, high in pairwise(ordered))
    assert all(-1e-6 <= each - height / 2 <= 300 - height + 1e-6 for each in found)
    assert [found[at] for at in sorted(range(len(places)), key=lambda n: places[n])] == ordered


@given(st.floats(0.001, 1e6), st.floats(1.5, 1e6), st.integers(2, 8))
def test_a_logarithmic_scale_has_few_round_ticks(low, factor, most):
    """All within the scale."""
    ticks = log_ticks((low, low * factor), most)
    assert len(ticks) <= most
    assert all(low <= each <= low * factor for each in ticks)


def test_an_empirical_distribution():
    """It rises by the share of the samples at each of them, from 0 to 1; many samples have few steps."""
    assert empirical([3, 1, 2, 2], (0, 9)) == [(0, 0.0), (1, 0.25), (2, 0.5), (2, 0.75), (3, 1.0), (9, 1.0)]
    assert len(empirical(range(10_000), (0, 10_000))) == 102


@pytest.mark.parametrize("values", [[], [0.0], [0.0, 0.0], [1e-9], [5.0]])
def test_a_scale_has_room(values):
    """Whatever was measured, its ends differ."""
    for axis in (Axis("x"), Axis("x", log=True)):
        low, high = axis.ends(values)
        assert high > low
        assert 0 <= axis.place(values[0] if values else 0, (low, high)) <= 1
