"""The orders of a burst: equal for all strategies of a round, and with a known right outcome."""

from collections import Counter

import pytest

from stockade.lab.model.burst import RepeatNames
from stockade.lab.sweeps.axes import Setting
from stockade.lab.sweeps.playing.burst import chosen_keys, variant_of

MANY = Setting(buyers=3_000, keys=10, skew=1.0)


def workload_of(resource, setting, repeat=0):
    return variant_of(resource, setting).workload(RepeatNames("run", repeat, setting.buyers, 0, 0))


def test_equal_repeats_choose_equally_and_others_do_not():
    """Strategies of a round are compared on the same orders."""
    assert chosen_keys(MANY, 1) == chosen_keys(MANY, 1)
    assert chosen_keys(MANY, 1) != chosen_keys(MANY, 2)


def test_the_skew_is_that_of_zipf():
    """With exponent 1 the first row of ten gets 34 %, the second half of that; with 0 each gets 10 %."""
    counts = Counter(chosen_keys(MANY, 1))
    assert counts[0] / 3_000 == pytest.approx(0.341, abs=0.03)
    assert counts[1] / counts[0] == pytest.approx(0.5, abs=0.08)
    even = Counter(chosen_keys(Setting(buyers=3_000, keys=10), 1))
    assert max(even.values()) / 3_000 == pytest.approx(0.1, abs=0.03)


def test_one_row_is_the_reference_test():
    """30 buyers of 20 units, all of one row."""
    workload = workload_of("stock", Setting())
    assert (len(workload.orders), workload.initial, workload.expected_accepted) == (30, 20, 20)
    assert len(workload.counted_rows) == 1


@pytest.mark.parametrize("resource", ["stock", "points"])
def test_rows_that_are_wanted_exist_and_two_thirds_can_be_had(resource):
    """Every order names rows that the setup makes; of each row about two thirds of its buyers get something."""
    setting = Setting(buyers=150, keys=5)
    workload = workload_of(resource, setting)
    rows = {key for order in workload.orders for key in order.keys if key.kind == resource}
    assert rows == set(workload.counted_rows)
    assert len(rows) == 5
    assert 0.6 * 150 <= workload.expected_accepted <= 100
    assert len({order.request_id for order in workload.orders}) == 150
    assert {key.kind for key in workload.other_rows} == ({"stock"} if resource == "points" else set())
