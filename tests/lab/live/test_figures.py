"""The figures of a run that moves: percentiles, orders in a transaction, and how few points a page gets."""

from types import SimpleNamespace

import pytest

from stockade.core import Stats
from stockade.lab.live.pictures import _rounds, _top
from stockade.lab.live.running.burst_leg import _point, _sum
from stockade.lab.live.running.figures import Point, Sums, per_transaction, percentile, thinned
from stockade.lab.live.runs import Leg


def test_percentiles_are_by_nearest_rank():
    """As in the table of the lab; nothing has none."""
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.5) == 2.0
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.95) == 4.0
    assert percentile([], 0.5) is None


def test_orders_in_a_transaction():
    """Retries make it less than one, batches more; without a transaction there is none."""
    assert per_transaction(30, 2) == 15
    assert per_transaction(1, 4) == 0.25
    assert per_transaction(0, 0) is None


def test_attempts_are_no_orders():
    """A store counts a command with each attempt; the figure of a burst counts what was decided."""
    found = SimpleNamespace(accepted=2, rejected=2, failed=0, left=0, wall_ms=1.0, timed=True, latencies_ms=[1.0])
    found = SimpleNamespace(**vars(found), violations=(), expected_accepted=2)
    sums, stats = Sums(), Stats(commands=10, transactions=10)
    _sum(sums, found, [found], stats)
    assert sums.batch == 0.4
    assert _point(1, found, stats, sums).batch == 0.4


@pytest.mark.parametrize(
    ("rounds", "ticks"),
    [(1, (1,)), (7, (1, 2, 3, 4, 5, 6, 7)), (32, (1, 5, 10, 15, 20, 25, 30)), (202, (1, 20, 40, 60, 80, 100))],
)
def test_the_axis_of_rounds_has_whole_numbers(rounds, ticks):
    """From the first round on: there is no round 0, and no half of one."""
    axis = _rounds("round", rounds, 720)
    assert axis.ticks[: len(ticks)] == ticks
    assert axis.ends([1, rounds]) == (0.5, rounds + 0.5)


def test_a_page_gets_few_points_and_the_last_one():
    """However long a run was."""
    points = [Point(x=number).as_json() for number in range(601)]
    few = thinned(points, 60)
    assert len(few) <= 61
    assert (few[0]["x"], few[-1]["x"]) == (0, 600)
    assert thinned([], 60) == []


def test_the_first_violation_is_kept_in_words():
    """All are counted; the sentence has a bound."""
    sums = Sums()
    sums.note("oversell", "x" * 1_000)
    sums.note("oversell", "later")
    assert sums.violations == {"oversell": 2}
    assert sums.as_json()["detail"].startswith("oversell: xxx")
    assert len(sums.as_json()["detail"]) == 300


@pytest.mark.parametrize(
    ("highest", "figure", "top"),
    [(0, "accepted", 3), (1, "violations", 3), (30, "accepted", 40), (1_234, "rate", 1_500), (0.5, "p95_ms", 0.6)],
)
def test_an_axis_ends_at_a_round_number(highest, figure, top):
    """Above all values, so that its last label is not below them; counts have no fractions."""
    assert _top([SimpleNamespace(points=((1, highest),))], figure) == pytest.approx(top)


def test_a_control_that_was_stopped_keeps_its_last_latency():
    """The sums have none before the end; those of the end are not replaced."""
    points = [{"p50_ms": 3.0, "p95_ms": 9.0}, {"p50_ms": None, "p95_ms": None}]
    leg = Leg("sequencer", points=points, sums={"p50_ms": None, "p95_ms": 7.0, "rate": 5.0})
    assert leg.as_json(0)["sums"] == {"p50_ms": 3.0, "p95_ms": 7.0, "rate": 5.0}
