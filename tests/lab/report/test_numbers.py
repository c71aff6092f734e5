"""Numbers of a report: how an interval is written, when two medians are apart, how equal shares are."""

import pytest

from stockade.lab.report.numbers import apart, between, jain
from stockade.lab.sweeps.analysis.statistics import interval


@pytest.mark.parametrize(("count", "says"), [(1, False), (4, False), (5, True), (30, True)])
def test_medians_are_apart_only_with_enough_samples(count, says):
    """One sample gives an interval of no width, and four have 87 %: neither decides anything, however far apart."""
    assert apart(interval([1.0] * count), interval([9.0] * count)) is says


def test_medians_whose_intervals_touch_are_not_apart():
    """However many samples there are; the control: those that do not touch are."""
    assert not apart(interval(range(30)), interval(range(10, 40)))
    assert apart(interval(range(30)), interval(range(100, 130)))


@pytest.mark.parametrize(
    ("samples", "says"),
    [
        ([5.0], "none: one sample"),
        ([5.0, 7.0], "5 to 7 (50 %)"),
        ([1.0, 2.0, 3.0, 4.0, 5.0, 6.5], "1 to 6.5 (96 %)"),
    ],
)
def test_an_interval_says_how_much_it_covers(samples, says):
    """It is not 95 % of every number of samples, and one sample has none."""
    assert between(interval(samples)) == says


def test_an_interval_of_nothing():
    """What was not measured has none."""
    assert between(None) == ""


def test_jain():
    """1 if all have the same, 1/n if one has everything."""
    assert jain([3, 3, 3]) == pytest.approx(1)
    assert jain([9, 0, 0]) == pytest.approx(1 / 3)
    assert jain([0, 0]) == 1
