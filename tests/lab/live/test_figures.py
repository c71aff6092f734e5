"""The figures of a run that moves: percentiles, orders in a transaction, and how few points a page gets."""

from stockade.lab.live.running.figures import Point, Sums, per_transaction, percentile, thinned


def test_percentiles_are_by_nearest_rank():
    """As in the table of the lab; nothing has none."""
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.5) == 2.0
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.95) == 4.0
    assert percentile([], 0.5) is None


def test_orders_in_a_transaction():
    """Retries make it less than one, batches more; without a transaction there is none."""
    assert per_transaction({"commands": 30, "transactions": 2}) == 15
    assert per_transaction({"commands": 1, "transactions": 4}) == 0.25
    assert per_transaction({}) is None


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
