"""What is seen while a recording moves is counted apart from what the checkers find after it: no count goes back."""

from types import SimpleNamespace

import pytest

from stockade.lab.history.operation import OK
from stockade.lab.live.running.figures import Sums
from stockade.lab.live.running.recording_leg import TWICE, Watch, refilled
from stockade.lab.workloads.registry import find_workload

TWICE_GIVEN = 30


def watched():
    """A watch that has seen one row's versions given twice, and the points that it showed."""
    points, sums = [], Sums()
    watch = Watch(sums, lambda point, _sums: points.append(point), lambda: None)
    answers = [(f"request-{n % 2}", n // 2) for n in range(2 * TWICE_GIVEN)]
    ended = [((0, 0, 0, SimpleNamespace(request_id=name), 0, 0, 0, 0), 1, answer(version)) for name, version in answers]
    recorder = SimpleNamespace(ended_since=lambda seen: ended[seen : seen + TWICE_GIVEN])
    observed = SimpleNamespace(recorder=recorder, fault_log=[])
    for _ in range(2):
        watch._look(observed, 0)
    return watch, sums, points


def answer(version):
    return SimpleNamespace(type=OK, replayed=False, versions={"sku:1": version})


def summary(**violations):
    first = SimpleNamespace(rule=next(iter(violations)), detail="why") if violations else None
    return SimpleNamespace(rate=1.0, violations=violations, first=first)


@pytest.mark.parametrize(("found", "violations"), [({"lost-update": 20}, {"lost-update": 20}), ({}, {TWICE: 30})])
def test_the_count_of_the_load_stays(found, violations):
    """The checkers stop at a bound; if they find nothing, what was seen meanwhile is the violation."""
    watch, sums, points = watched()
    assert [point.twice for point in points] == [TWICE_GIVEN // 2, TWICE_GIVEN]
    assert [point.violations for point in points] == [None, None]
    assert not sums.violations
    watch.finish(summary(**found))
    assert (sums.twice, sums.violations) == (TWICE_GIVEN, violations)
    assert sums.detail


def test_orders_are_related_to_the_transactions_that_were_counted():
    """Each attempt is a transaction; what is decided after the last count has none, and changes nothing."""
    ended = [((0, 0, 0, SimpleNamespace(request_id=n), 0, 0, 0, 0), 1, answer(n)) for n in range(30)]
    recorder = SimpleNamespace(ended_since=lambda seen: ended[seen : seen + 10])
    points, sums = [], Sums()
    watch = Watch(sums, lambda point, _sums: points.append(point), lambda: None)
    for begun in (20, 30, None):
        watch._counted = begun
        watch._look(SimpleNamespace(recorder=recorder, fault_log=[]), 0)
    assert [point.batch for point in points] == [0.5, pytest.approx(1 / 3), None]
    assert sums.batch == 0.4


@pytest.mark.parametrize(("workload", "comes_in"), [("order-stream", True), ("baskets", False)])
async def test_what_is_left_is_not_read_where_stock_comes_in(workload, comes_in):
    """A sum that deliveries raise says nothing; elsewhere it does, and the database is asked."""
    assert refilled(find_workload(workload)) is comes_in
    asked = []

    async def read(_reads, **_limits):
        asked.append(workload)
        return 7

    target = SimpleNamespace(admin_database=SimpleNamespace(read=read), application=None)
    observed = SimpleNamespace(target=target, rows=[SimpleNamespace(kind="sku")])
    watch = Watch(Sums(), lambda *_: None, lambda: None, reads_left=not comes_in)
    assert (await watch._left(observed), asked) == ((None, []) if comes_in else (7, [workload]))
