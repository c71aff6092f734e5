"""The verdict, case by case."""

import pytest

from stockade.core import Guarantees
from stockade.lab.reporting.verdict import AS_PROMISED, BROKEN, NOT_AS_PROMISED, RunCounts, judge

FENCED = Guarantees(faults=("pause",))
STRONG, UNSAFE = Guarantees(), Guarantees(may_oversell=True)
LOCAL = Guarantees(processes="one")
CLEAN = {"processes": 1, "repeats": 30, "broken": 0, "short": 0, "deadlocks": 0}
USUAL = {"must_fail_unprotected": True, "wanted_deadlocks": "any"}

CASES = [
    ("a strong strategy that holds", STRONG, {}, AS_PROMISED, True),
    ("a strong strategy that breaks once", STRONG, {"broken": 1}, BROKEN, False),
    ("a strong strategy that sells too few", STRONG, {"short": 1}, NOT_AS_PROMISED, False),
    ("the contender that must fail, fails", UNSAFE, {"broken": 1}, BROKEN, True),
    ("the contender that must fail, does not", UNSAFE, {}, NOT_AS_PROMISED, False),
    ("where nothing can be seen it need not fail", UNSAFE, {"must_fail_unprotected": False}, AS_PROMISED, True),
    ("where nothing can be seen it may fail", UNSAFE, {"must_fail_unprotected": False, "broken": 2}, BROKEN, True),
    ("a mutex in one process holds", LOCAL, {}, AS_PROMISED, True),
    ("a mutex in one process breaks", LOCAL, {"broken": 1}, BROKEN, False),
    ("a mutex in two processes breaks", LOCAL, {"processes": 2, "broken": 9}, BROKEN, True),
    ("a mutex in two processes holds", LOCAL, {"processes": 2}, NOT_AS_PROMISED, False),
    (
        "a deadlock where there must be none",
        STRONG,
        {"wanted_deadlocks": "none", "deadlocks": 1},
        NOT_AS_PROMISED,
        False,
    ),
    ("no deadlock where there must be none", STRONG, {"wanted_deadlocks": "none"}, AS_PROMISED, True),
    ("no deadlock where there must be some", STRONG, {"wanted_deadlocks": "some"}, NOT_AS_PROMISED, False),
    ("deadlocks where there must be some", STRONG, {"wanted_deadlocks": "some", "deadlocks": 3}, AS_PROMISED, True),
    (
        "orders given up for provoked deadlocks",
        STRONG,
        {"wanted_deadlocks": "some", "deadlocks": 3, "short": 2},
        AS_PROMISED,
        True,
    ),
    ("a promised fault is survived", FENCED, {"fault": "pause"}, AS_PROMISED, True),
    ("a promised fault is not survived", FENCED, {"fault": "pause", "broken": 1}, BROKEN, False),
    ("requests given up under a promised fault", FENCED, {"fault": "pause", "short": 1}, NOT_AS_PROMISED, False),
    ("a fault that is not promised breaks", FENCED, {"fault": "failover", "broken": 1}, BROKEN, True),
    ("a fault that is not promised does not show", FENCED, {"fault": "failover"}, NOT_AS_PROMISED, False),
    ("a fault that need not show", FENCED, {"fault": "failover", "must_fail_unprotected": False}, AS_PROMISED, True),
    ("without a fault nothing is excused", FENCED, {"broken": 1}, BROKEN, False),
    ("deadlocks where they are not judged", STRONG, {"deadlocks": 3}, AS_PROMISED, True),
]


@pytest.mark.parametrize(("promise", "seen", "verdict", "kept"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_verdict(promise, seen, verdict, kept):
    """Figures and a Guarantees make one verdict, and it is the promised one or not."""
    judgement = judge(promise, RunCounts(**{**CLEAN, **USUAL, **seen}))
    assert (judgement.verdict, judgement.kept) == (verdict, kept)
    assert judgement.reason or judgement.verdict == AS_PROMISED, "a missed promise has a reason"
