"""Crossovers on made-up samples: one flip, several, none, not clear, not measured."""

import json

import pytest

from stockade.lab.sweeps.analysis.crossovers import between, crossovers
from stockade.lab.sweeps.lines import crossover_line
from tests.lab.sweeps.made_up import results, samples

BUYERS = (5, 10, 20, 40)


def found(walls, **options):
    made = results("buyers", BUYERS, {"optimistic": walls[0], "pessimistic": walls[1]}, **options)
    return between(made, "buyers", "optimistic", "pessimistic")


def test_the_order_flips_between_two_values_that_are_clear():
    """Optimistic is faster at 10 and slower at 20: the flip lies between, at the zero of the log of the ratio."""
    (only,) = found(([10, 10, 40, 80], [20, 20, 20, 20]))
    assert (only.verdict, only.low, only.high) == ("flips", 10, 20)
    assert (only.before, only.after) == ("optimistic", "pessimistic")
    assert only.at == pytest.approx(15)  # ratios 2 and 1/2: half way
    assert "between 10 and 20 buyers" in crossover_line(only)


def test_a_value_that_is_not_clear_widens_the_interval():
    """At 20 both are equal, so the flip is only known to lie between 10 and 40."""
    walls = ([10, 10, 20, 80], [20, 20, 20, 20])
    made = results("buyers", BUYERS, {"optimistic": walls[0], "pessimistic": walls[1]})
    noisy = next(each for each in made if each.point.value == 20 and each.contender.name == "optimistic")
    turned = [*reversed(samples(20))]
    made[made.index(noisy)] = type(noisy)(
        noisy.point,
        noisy.contender,
        tuple(type(each)(**{**_fields(each), "round": n}) for n, each in enumerate(turned)),
        noisy.control,
        True,
    )
    (only,) = between(made, "buyers", "optimistic", "pessimistic")
    assert (only.verdict, only.low, only.high) == ("flips", 10, 40)
    assert 10 < only.at <= 40


def _fields(value):
    return {name: getattr(value, name) for name in value.__slots__}


def test_two_flips_are_two_entries():
    """The order may flip back."""
    first, second = found(([10, 40, 40, 10], [20, 20, 20, 20]))
    assert (first.low, first.high, second.low, second.high) == (5, 10, 20, 40)
    assert second.after == "optimistic"


def test_no_flip_names_who_is_faster():
    """The same one is clearly faster at every value."""
    (only,) = found(([10] * 4, [20] * 4))
    assert (only.verdict, only.before, only.at, only.low) == ("none", "optimistic", None, None)
    assert "throughout" in crossover_line(only)


def test_equal_strategies_are_not_clear():
    """The ratio is 1 in every round."""
    (only,) = found(([20] * 4, [20] * 4))
    assert (only.verdict, only.before) == ("not clear", "")


def test_too_few_rounds_are_not_clear_however_large_the_difference():
    """The interval of three samples has 75 %; a sweep that is cut short must not decide."""
    (only,) = found(([10] * 4, [90] * 4), rounds=3)
    assert only.verdict == "not clear"
    assert found(([10] * 4, [90] * 4), rounds=5)[0].verdict == "none"


def test_points_without_a_failed_control_are_left_out_with_the_reason():
    """At 5 and 10 the control broke nothing: what is seen there says nothing about control."""
    (only,) = found(([10, 10, 40, 80], [20] * 4), held=(5, 10))
    assert (only.verdict, only.before) == ("none", "pessimistic")
    assert only.reason == "5: control did not fail; 10: control did not fail"
    line = crossover_line(only)
    assert "from 20 to 40 buyers; left out: 5: control did not fail; 10: control did not fail" in line


def test_a_strategy_that_broke_a_rule_is_not_compared():
    """Being fast and wrong is no advantage."""
    (only,) = found(([10, 10, 40, 80], [20] * 4), broke=[("optimistic", 5), ("optimistic", 10)])
    assert (only.verdict, only.before) == ("none", "pessimistic")
    assert "broke a rule: conservation" in only.reason


def test_a_strategy_that_gives_up_half_of_its_orders_is_not_compared():
    """It has half of the work."""
    (only,) = found(([10, 10, 40, 80], [20] * 4), gave_up=[("optimistic", 5), ("optimistic", 10)])
    assert (only.verdict, only.before) == ("none", "pessimistic")
    assert only.reason.count("gave up orders that could have succeeded in 7 of 7 rounds, 50.0% of all") == 2


def test_what_was_not_played_is_not_measured():
    """No strategy is compared with one that took no part, nor at values that only one of them has."""
    made = results("buyers", BUYERS, {"optimistic": [10] * 4})
    assert {each.verdict for each in crossovers(made)} == {"not measured"}
    (apart,) = found(([10, None, None, None], [None, 20, 20, 20]))
    assert apart.verdict == "not measured"
    assert crossover_line(apart) == ""
    json.dumps([each.as_json() for each in crossovers(made)])
