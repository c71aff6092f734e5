"""The language of invariants, JSON pointers and placeholders, as pure functions."""

import pytest

from stockade.race import RaceError
from stockade.race.model.expressions import Expression, Values
from stockade.race.model.placeholders import fill
from stockade.race.model.pointers import Missing, look_up

VALUES = {
    "sold": 23,
    "stock": 20,
    "balance": 1000,
    "ledger": [10_000, -3000, -3000, -3000],
    "orders": Values(["a", "b", "a", "c"], [0, 1, 0, 0]),
    "nothing": [],
    "state": "PAID",
    "link": "/pay?a=b",
}
HOLDS = {
    "sold <= stock": (False, "23 <= 20"),
    "sum(ledger) = balance": (True, "1000 == 1000"),
    "sum(ledger) == balance": (True, "1000 == 1000"),
    "distinct(orders) = count(orders)": (False, "3 == 4"),
    "differing_keys(orders) = 0": (False, "1 == 0"),
    "0 <= stock - sold < 5": (False, "0 <= -3 < 5"),
    "not sold > 30 and (stock * 2 - -1) / 2 >= 20": (True, "sold = 23, stock = 20"),
    "count(nothing) = 0 or sold = 0": (True, "nothing = [], sold = 23"),
    "state != 'FAILED'": (True, "PAID != FAILED"),
    "count(sold) = 1": (True, "1 == 1"),
    "link = '/pay?a=b'": (True, "/pay?a=b == /pay?a=b"),
    "link != '/pay?a==b' and 'a=b' != link": (True, "link = /pay?a=b"),
    "max(ledger) - min(ledger) = 13000": (True, "13000 == 13000"),
}


@pytest.mark.parametrize(("text", "expected"), HOLDS.items(), ids=HOLDS)
def test_an_invariant(text, expected):
    """Whether it holds, and how it is shown with its numbers."""
    expression = Expression(text)
    assert (expression.holds(VALUES), expression.shown(VALUES)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "1 = 1",
        "'a' = 'a'",
        "sold <= stock or 1",
        "not sold",
        "-sold",
        "sold < 9 and stock",
        "sold <= stock or 1 = 1",
        "sold = sold",
        "sum(ledger) = sum(ledger)",
        "(sold < 9) + 1 > stock",
        "sold < 'it",
    ],
)
def test_what_would_always_hold_or_compares_nothing_is_refused(text):
    """Each part that `and`, `or` and `not` join is a comparison of a value with something else."""
    with pytest.raises(RaceError, match=r"compares nothing|compares no value|is no comparison|an invariant has"):
        Expression(text)


@pytest.mark.parametrize("text", ["ledger <= stock", "max(nothing) = 0", "sum(state) = 1", "sold / (stock - 20) = 1"])
def test_what_cannot_be_computed_is_one_line(text):
    """The line has the invariant and the values."""
    with pytest.raises(RaceError, match="cannot be computed with "):
        Expression(text).holds(VALUES)


def test_pointers():
    """RFC 6901, and `*` for every element; what is not there says where it ended."""
    document = {"a/b": {"~": [1, 2]}, "items": [{"n": 1, "parts": [{"k": 5}, {"k": 6}]}, {"n": 2, "parts": []}]}
    assert look_up(document, "") is document
    assert look_up(document, "/a~1b/~0/1") == 2
    assert look_up(document, "/items/*/n") == [1, 2]
    assert look_up(document, "/items/*/parts/*/k") == [5, 6]
    with pytest.raises(Missing, match=r"pointer /items/2/n: there is no '2' in \[{"):
        look_up(document, "/items/2/n")


def test_placeholders():
    """Known names are filled, `{name:int}` alone becomes a number, and other braces stay."""
    filled = fill({"a": "{n}-{n:int}", "b": ["{n:int}", '{"n": 1}'], "c": "{other}"}, {"n": 7})
    assert filled == {"a": "7-{n:int}", "b": [7, '{"n": 1}'], "c": "{other}"}
    assert fill("{uuid}", {}) != fill("{uuid}", {})
    with pytest.raises(RaceError, match=r"{n:int}: must be a whole number, not 'x'"):
        fill("{n:int}", {"n": "x"})
