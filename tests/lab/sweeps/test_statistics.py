"""Intervals, ratios and inversions against values that were computed by hand."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.lab.sweeps.analysis.statistics import coverage, interval, inversions, ratios


@pytest.mark.parametrize(
    ("count", "drop", "right"),
    [
        (1, 0, 0.0),  # one sample says nothing
        (5, 0, 1 - 2 / 32),
        (6, 0, 1 - 2 / 64),
        (7, 1, 1 - 2 * (1 + 7) / 128),
        (9, 1, 1 - 2 * (1 + 9) / 512),
        (20, 5, 1 - 2 * 21_700 / 1_048_576),  # 1 + 20 + 190 + 1140 + 4845 + 15504
    ],
)
def test_coverage_is_that_of_the_binomial_distribution(count, drop, right):
    """The median is outside when at most `drop` samples lie on one side of it: each side has probability 1/2."""
    assert coverage(count, drop) == pytest.approx(right)


@pytest.mark.parametrize(
    ("samples", "right"),
    [
        ([4.0], (4, 4, 4, 0.0)),
        ([5, 1, 3, 2, 4], (3, 1, 5, 0.9375)),  # five samples never have 95 %
        ([6, 1, 3, 2, 4, 5], (3.5, 1, 6, 0.96875)),
        ([*range(1, 8)], (4, 1, 7, 0.984375)),  # without the outermost two it would be 87.5 %
        ([*range(1, 10)], (5, 2, 8, 0.9609375)),
        ([*range(1, 21)], (10.5, 6, 15, 0.958611)),
    ],
)
def test_an_interval_is_the_narrowest_that_has_95_percent(samples, right):
    """Order statistics from both ends are left out as long as the coverage stays at 95 %."""
    found = interval(samples)
    assert (found.median, found.low, found.high) == right[:3]
    assert found.coverage == pytest.approx(right[3], abs=1e-5)
    assert found.samples == len(samples)


def test_no_samples_have_no_interval():
    """A median of nothing is an error, not zero."""
    with pytest.raises(ValueError, match="at least one sample"):
        interval([])


def test_ratios_are_of_the_same_rounds():
    """The median of ratios, not the ratio of medians: a slow round is slow for both."""
    found = ratios([10, 40, 30, 90, 50, 60], [5, 20, 10, 30, 25, 30])
    assert (found.median, found.low, found.high) == (2, 2, 3)
    assert ratios([], []) is None
    assert ratios([1, 1], [0, 0]) is None  # nothing was decided
    with pytest.raises(ValueError, match=r"shorter|longer"):
        ratios([1, 2], [1])


@pytest.mark.parametrize(
    ("arrivals", "share"),
    [
        ([(0, 10), (1, 11), (2, 12)], 0.0),
        ([(0, 12), (1, 11), (2, 10)], 1.0),
        ([(0, 11), (1, 10), (2, 12)], 1 / 3),
        ([(0, 10), (1, 10)], 0.0),  # both at once: nobody went before
        ([(0, 10)], 0.0),
        ([], 0.0),
    ],
)
def test_inversions_are_pairs_that_were_served_in_the_wrong_order(arrivals, share):
    """0 is first come, first served; 1 is last come, first served."""
    assert inversions(arrivals) == pytest.approx(share)


@given(st.lists(st.integers(0, 20), min_size=2, max_size=40))
def test_inversions_are_those_of_all_pairs(ends):
    """The merge sort counts what comparing every pair counts."""
    pairs = list(itertools.combinations(ends, 2))
    assert inversions(list(enumerate(ends))) == pytest.approx(sum(a > b for a, b in pairs) / len(pairs))
