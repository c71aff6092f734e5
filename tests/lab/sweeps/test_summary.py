"""Whether a point counts, and the figures of its samples."""

from dataclasses import replace

import pytest

from stockade.lab.model.contender import Contender
from stockade.lab.sweeps.analysis.summary import SHORT, PointResult, Rounds, results_of
from stockade.lab.sweeps.axes import Point, Setting
from stockade.lab.sweeps.lines import cost_table, counted_line, note_lines, rate_tables
from tests.lab.sweeps.made_up import results, sample, samples

POINT = Point("buyers", 30, Setting())


def result(taken, *, failed=7, must_hold=True, name="pessimistic"):
    return PointResult(POINT, Contender.parse(name), tuple(taken), Rounds(failed, 7), must_hold)


def control(taken):
    """In how many rounds a control with these samples failed."""
    there = {(POINT.id, "unprotected"): taken, (POINT.id, "optimistic"): [sample()]}
    (found,) = results_of([POINT], [Contender("optimistic")], there)
    return found.control


def gave_up(number):
    """A burst that gave up half of its orders."""
    return sample(number, accepted=10, rejected=5, failed=15)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (result(samples(10)), ""),
        (result(samples(10), failed=0), "control did not fail"),
        (result(samples(10), failed=3), "control did not fail in most rounds: in 3 of 7 rounds"),
        (result(samples(10), failed=4), ""),
        (result([sample(untimed_violations=("exactly-once",))]), "broke a rule: exactly-once"),
        (result(samples(10, ("oversell",))), "broke a rule: oversell"),
        (result(samples(10, ("oversell",)), name="in-process", must_hold=False), "broke a rule: oversell"),
        (result(samples(10, ("oversell",)), name="unprotected", must_hold=False), "negative control"),
        (result(samples(10), name="in-process", must_hold=False), "claims nothing here"),
        (result(samples(10), name="redis-pubsub:bare"), "negative control"),
        (result([sample(accepted=0, rejected=0, failed=30)]), "decided nothing"),
        (result([gave_up(0), gave_up(1), sample(2)]), f"{SHORT} in 2 of 3 rounds, 33.3% of all"),
        (result([gave_up(0), sample(1), sample(2)]), ""),
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


@pytest.mark.parametrize("rule", ["oversell", "conservation"])
def test_the_control_fails_by_lost_or_oversold_rows_in_bursts_that_count(rule):
    """Any burst of a round is enough for the round."""
    assert control([sample(0), sample(0, violations=(rule,), burst=1), sample(1)]) == (1, 2)


@pytest.mark.parametrize("rule", ["unexpected", "count", "same-answer", "exactly-once"])
def test_other_rules_do_not_show_that_orders_met(rule):
    """An unexpected error, for example, comes with one order alone too."""
    assert control([sample(0, violations=(rule,)), sample(1, violations=(rule,))]) == (0, 2)


def test_a_warm_up_does_not_show_that_the_orders_that_count_met():
    """Only those are measured."""
    assert control([sample(0, untimed_violations=("oversell",)), sample(1)]) == (0, 2)


@pytest.mark.parametrize(("lucky", "counts"), [(6, False), (4, False), (3, True), (0, True)])
def test_the_control_must_fail_in_most_rounds(lucky, counts):
    """One lucky burst of 21 does not make a point count: the figures are medians of rounds."""
    rounds = [sample(n, violations=() if n < lucky else ("oversell",)) for n in range(7)]
    found = results_of([POINT], [Contender("optimistic")], {(POINT.id, "unprotected"): rounds, **_other()})
    assert found[0].control_failed == counts
    assert found[0].counts == counts


def _other():
    return {(POINT.id, "optimistic"): samples(10)}


def test_short_rounds_are_left_out_and_the_share_is_of_all_orders():
    """A strategy that gives up half of its orders has less to do; its other rounds are compared."""
    made = result([sample(0, 100.0), sample(1, 100.0), replace(gave_up(2), wall_ms=1.0)])
    rate = made.figure("decided_s")
    assert (rate.samples, rate.high) == (2, 300)
    assert made.failed_share == pytest.approx(15 / 90)
    assert made.figure("failed_share").high == 0.5
    one_burst = result([sample(0), replace(gave_up(0), burst=1), replace(sample(0), burst=2)])
    assert one_burst.figure("decided_s") is None  # of one round, in which orders were given up


@pytest.mark.parametrize(
    ("changes", "short"),
    [
        ({"accepted": 20, "rejected": 5, "failed": 5}, False),  # the others could only have been rejected
        ({"accepted": 19, "rejected": 10, "failed": 1}, True),
        ({"accepted": 20, "rejected": 9, "failed": 1, "expected": None}, True),  # an older file: it is not known
        ({"expected": None}, False),
    ],
)
def test_a_burst_is_short_if_orders_could_have_been_accepted(changes, short):
    """As in a verdict of the lab."""
    assert sample(**changes).short == short


@pytest.mark.parametrize(("lucky", "cell", "counted"), [(0, "failed 7/7, as meant", 1), (4, "[failed 3/7] *", 0)])
def test_a_control_that_failed_stands_in_no_bracket(lucky, cell, counted):
    """It did what it must, and its points are not among those that could count; where it held, nothing counts."""
    rounds = [sample(n, violations=() if n < lucky else ("oversell",)) for n in range(7)]
    names = [Contender("unprotected"), Contender("optimistic")]
    found = results_of([POINT], names, {(POINT.id, "unprotected"): rounds, **_other()})
    (table,) = rate_tables(found)
    assert table.rows[0] == ["unprotected", cell]
    failed = f"the control failed, as it must, at {counted} of 1"
    assert counted_line(found).startswith(f"{counted} of 1 points of strategies count; {failed}; [ ]")


def test_what_was_given_up_and_what_failed_alone_is_printed():
    """The median of the shares would be 0 in both."""
    (line,) = note_lines([result([gave_up(0), sample(1), sample(2)])])
    assert line.endswith(f"16.7% of orders got no decision; it {SHORT} in 1 of 3 rounds, which are left out")
    (line,) = note_lines([result([sample(0, alone_ms=None), sample(1)])])
    assert line == "not accepted, although alone: buyers=30 pessimistic: in 1 of 2 rounds"
    (line,) = note_lines([result([sample(untimed_violations=("oversell",))])])
    assert line.startswith("BROKE ITS CLAIM: buyers=30 pessimistic: broke a rule: oversell")
    assert note_lines([result(samples(10))]) == []


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
    half = result([sample(accepted=15, rejected=0, failed=15, expected=15)])
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
    assert rows["unprotected"] == ["[failed 0/7] *", "failed 7/7, as meant"]
    assert rows["pessimistic"][0].endswith("*")
    assert rows["pessimistic"][1].startswith("1,5")
    assert rows["in-process"][1] == "[broke a rule]"
    assert [row[0] for row in cost_table(made, "sqlite").rows] == ["pessimistic"]
    assert not cost_table(results("buyers", (5,), {"pessimistic": [20]}, held=(5,)), "sqlite").rows


@pytest.mark.parametrize(
    ("name", "database", "used", "shown"),
    [
        ("pessimistic", "postgres", {"database_cpu_ms": 30.0}, "1.00"),
        ("redis-pubsub", "postgres", {"database_cpu_ms": 30.0, "redis_cpu_ms": 60.0}, "3.00"),
        ("redis-pubsub", "postgres", {"redis_cpu_ms": 60.0}, "-"),  # a server that is the user's is not measured
        ("redis-pubsub", "sqlite", {"redis_cpu_ms": 60.0}, "2.00"),
        ("pessimistic", "sqlite", {}, "-"),
    ],
)
def test_processor_time_of_which_a_part_was_not_measured_is_not_shown(name, database, used, shown):
    """Else the strategy whose server was not measured would be the cheapest."""
    taken = [replace(each, resources=replace(each.resources, **used)) for each in samples(10)]
    table = cost_table([result(taken, name=name)], database)
    assert table.rows[0][table.heads.index("server cpu ms")] == shown


def test_the_value_of_a_round_is_the_median_of_its_bursts():
    """Bursts of one turn are not independent: they are one value, and one that was disturbed decides nothing."""
    bursts = [sample(0, 100.0), sample(0, 100.0, burst=1), sample(0, 900.0, burst=2), sample(1, 50.0)]
    found = result(bursts).figure("decided_s")
    assert (found.samples, found.low, found.high) == (2, 300, 600)
    assert result(bursts).by_round(lambda each: None if each.round else each.wall_ms) == {0: 100.0}
