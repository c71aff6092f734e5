"""Percentiles, the worst repeat, and what warm-ups count for."""

import pytest

from stockade.core import Stats
from stockade.lab.model.repeat_result import Violation
from stockade.lab.reporting.checked_repeat import CheckedRepeat
from stockade.lab.reporting.summary import RunLabels, percentile, summarise
from stockade.lab.reporting.verdict import AS_PROMISED, Judgement
from tests.lab.repeat_results import right

LABELS = RunLabels("reference", "pessimistic", "sqlite", 1, 30, 20)
GOOD = Judgement(AS_PROMISED, True)


def repeat(accepted=20, failed=0, violations=(), wall_ms=10.0, timed=True):
    """A repeat of the reference test."""
    rest = 30 - accepted - failed
    return CheckedRepeat(accepted, rest, failed, 20 - accepted, 20, tuple(violations), wall_ms, (wall_ms,), timed)


@pytest.mark.parametrize(("percent", "value"), [(0, 1), (1, 1), (50, 50), (50.5, 51), (95, 95), (99, 99), (100, 100)])
def test_percentile_is_the_nearest_rank(percent, value):
    """Of 1 to 100 the p-th percentile is p itself, never a value between two measured ones."""
    assert percentile(list(range(1, 101)), percent) == value


def test_percentile_of_nothing():
    """No value, no percentile."""
    with pytest.raises(ValueError, match="at least one"):
        percentile([], 50)


def test_worst_repeat_has_the_most_violations():
    """A run shows the repeat with the most violations, however well it sold."""
    bad = repeat(violations=[Violation("oversell", "a"), Violation("count", "b")])
    run = summarise(LABELS, [repeat(5), bad, repeat(violations=[Violation("count", "c")])], Stats(), GOOD)
    assert run.violations == bad.violations


def test_worst_repeat_without_violations_is_furthest_from_right():
    """Then the one that sold the furthest from 20, and then the one with the most failures."""
    run = summarise(LABELS, [repeat(20), repeat(17, failed=3), repeat(20, failed=5)], Stats(), GOOD)
    assert (run.accepted, run.failed) == (17, 3)
    run = summarise(LABELS, [repeat(20), repeat(20, failed=5)], Stats(), GOOD)
    assert run.failed == 5


def test_warm_ups_are_checked_but_not_timed():
    """The first, cold repeats are judged like the others; their times are thrown away."""
    cold = repeat(30, violations=[Violation("oversell", "cold")], wall_ms=900.0, timed=False)
    run = summarise(LABELS, [cold, repeat(wall_ms=1.0), repeat(wall_ms=3.0)], Stats(), GOOD)
    assert run.violations == cold.violations
    assert run.wall_ms == (1.0, 3.0)
    assert run.latency_ms[2] == 3.0


def test_attempts_per_order_count_every_repeat():
    """Transactions over commands, warm-ups included in both."""
    stats = Stats(transactions=120, deadlocks=2)
    run = summarise(LABELS, [repeat(timed=False), repeat()], stats, GOOD)
    assert (run.attempts_per_order, run.deadlocks) == (2.0, 2)


def test_what_is_kept_of_a_repeat():
    """Counts, what is left, and times come from the responses and the rows."""
    checked = CheckedRepeat.of(right(), [], timed=True)
    assert (checked.accepted, checked.rejected, checked.failed, checked.left) == (2, 1, 0, 0)
    assert checked.expected_accepted == 2
    assert checked.wall_ms == 1.0


def test_transactions_are_divided_by_the_orders_of_the_repeats_that_counted_them():
    """Of two kinds of repeats one only fills the log: its orders are not in the statistics."""
    stats = Stats(transactions=60)
    assert summarise(LABELS, [repeat(), repeat()], stats, GOOD, counted_repeats=1).attempts_per_order == 2
    assert summarise(LABELS, [repeat(), repeat()], stats, GOOD).attempts_per_order == 1
