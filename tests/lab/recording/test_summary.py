"""The verdict of one recording, from made-up histories."""

import pytest

from stockade.lab.model.contender import Contender
from stockade.lab.recording.plan import RecordingPlan
from stockade.lab.recording.summary import summarise
from stockade.lab.workloads.registry import find_workload
from tests.lab.checkers.small_histories import MS, OPERATIONS, small


def plan(strategy):
    """A recording without faults."""
    return RecordingPlan(workload=find_workload("order-stream"), contender=Contender(strategy))


def with_answer(**changes):
    """The smallest right history with another first answer."""
    return small([OPERATIONS[0]._replace(**changes), *OPERATIONS[1:]])


LATE = {"deadline_ns": 1, "return_ns": 3000 * MS}


@pytest.mark.parametrize(
    ("strategy", "changes", "verdict", "kept"),
    [
        ("pessimistic", {}, "as claimed", True),
        ("pessimistic", LATE, "late", False),
        ("pessimistic", {"answer": "another"}, "broken", False),
        ("pessimistic", {**LATE, "answer": "another"}, "broken", False),
        ("unprotected", {"answer": "another"}, "broken", True),
        ("unprotected", LATE, "not as claimed", False),
    ],
    ids=["right", "late", "wrong", "late and wrong", "control", "a control that is only late"],
)
def test_verdict(strategy, changes, verdict, kept):
    """Rules about time alone are `late`; one about data is `broken`, which a control must be."""
    found = summarise(plan(strategy), with_answer(**changes))
    assert (found.verdict, found.kept) == (verdict, kept), found
