"""Whether a point counts, and the figures of its samples."""

import pytest

from stockade.lab.model.contender import Contender
from stockade.lab.sweeps.analysis.summary import PointResult, results_of
from stockade.lab.sweeps.axes import Point, Setting
from stockade.lab.sweeps.lines import cost_table, rate_tables
from tests.lab.sweeps.made_up import results, sample, samples

POINT = Point("buyers", 30, Setting())


def result(taken, *, control_failed=True, must_hold=True, name="pessimistic"):
    return PointResult(POINT, Contender.parse(name), tuple(taken), control_failed, must_hold)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (result(samples(10)), ""),
        (result(samples(10), control_failed=False), "control did not fail"),
        (result(samples(10, ("oversell",))), "broke a rule: oversell"),
        (result(samples(10, ("oversell",)), name="in-process", must_hold=False), "broke a rule: oversell"),
        (result(samples(10, ("oversell",)), name="unprotected", must_hold=False), "negative control"),
        (result(samples(10), name="in-process", must_hold=False), "claims nothing here"),
        (result(samples(10), name="redis-pubsub:bare"), "negative control"),
        (result([sample(accepted=0, rejected=0, failed=30)]), "decided nothing"),
    ],
)
def test_a_point_counts_only_with_a_failed_control_and_a_kept_rule(made, why):
    """Everything else is marked with its reason."""
    assert made.why_not == why
    assert made.counts == (not why)


def test_only_who_claims_to_hold_can_break_a_claim():
    """A lock in the process claims nothing in two processes."""
    broken = samples(10, ("conservation",))
    assert result(broken).claim_violated
    assert not result(broken, name="in-process", must_hold=False).claim_violated
    two = Point("processes", 2, Setting(processes=2))
    taken = {(two.id, "unprotected"): broken, (two.id, "in-process"): broken}
    found = results_of([two], [Contender("unprotected"), Contender("in-process")], taken)
    assert [each.claim_violated for each in found] == [False, False]


def test_one_failure_of_the_control_in_any_repeat_is_enough():
    """The orders did meet, although not in each round."""
    taken = {
        (POINT.id, "unprotected"): [sample(0), sample(1, violations=("oversell",))],
        (POINT.id, "optimistic"): [sample()],
    }
    assert results_of([POINT], [Contender("optimistic")], taken)[0].control_failed
    taken[POINT.id, "unprotected"] = [sample(0), sample(1)]
    assert not results_of([POINT], [Contender("optimistic")], taken)[0].control_failed


def test_figures_are_of_each_sample_and_costs_of_each_decided_order():
    """30 orders in 100 ms are 300 a second; 60 ms blocked are 2 for each; what was not measured stays so."""
    made = result([sample(), sample(1, 200.0), sample(2, 50.0)])
    rate = made.figure("decided_s")
    assert (rate.median, rate.low, rate.high) == (300, 150, 600)
    assert made.figure("accepted_s").median == 200
    assert made.per_order("blocked_ms").median == 2
    assert made.per_order("redis_commands") is None
    assert made.figure("longest_ms").median == 100
    assert made.latencies() == {"p50": 2, "p90": 100, "p95": 200, "p99": 200, "longest": 200}
    half = result([sample(accepted=10, rejected=5, failed=15)])
    assert half.figure("failed_share").median == 0.5
    assert half.per_order("blocked_ms").median == 4


def test_tables_mark_what_does_not_count():
    """A reader must not take a figure without a control for one."""
    made = results(
        "buyers", (5, 30), {"pessimistic": [20, 20], "in-process": [10, 10]}, held=(5,), broke=[("in-process", 30)]
    )
    (table,) = rate_tables(made)
    rows = {row[0]: row[1:] for row in table.rows}
    assert table.heads == ["strategy", "5", "30"]
    assert rows["unprotected"] == ["[held]", "[broke]"]
    assert rows["pessimistic"][0].endswith("*")
    assert rows["pessimistic"][1].startswith("1,5")
    assert rows["in-process"][1] == "[broke a rule]"
    assert [row[0] for row in cost_table(made).rows] == ["pessimistic"]
    assert not cost_table(results("buyers", (5,), {"pessimistic": [20]}, held=(5,))).rows


def test_the_value_of_a_round_is_the_median_of_its_bursts():
    """Bursts of one turn are not independent: they are one value, and one that was disturbed decides nothing."""
    bursts = [sample(0, 100.0), sample(0, 100.0, burst=1), sample(0, 900.0, burst=2), sample(1, 50.0)]
    found = result(bursts).figure("decided_s")
    assert (found.samples, found.low, found.high) == (2, 300, 600)
    assert result(bursts).by_round(lambda each: None if each.repeat else each.wall_ms) == {0: 100.0}
