"""The verdict of one recording, from made-up histories."""

from dataclasses import replace

import pytest

from stockade.cli.lab.record import _lines
from stockade.lab.faults import find_faults
from stockade.lab.history.final_state import Leftovers
from stockade.lab.model.contender import Contender
from stockade.lab.recording.plan import RecordingPlan
from stockade.lab.ring.summary import summarise
from stockade.lab.workloads.registry import find_workload
from tests.lab.checkers.small_histories import FINAL, KEY, MS, OPERATIONS, fault, small


def plan(strategy, *faults, **more):
    """A recording."""
    return RecordingPlan(
        find_workload("order-stream"), Contender.parse(strategy), "postgres", find_faults("+".join(faults)), **more
    )


def with_answer(**changes):
    """The smallest right history with another first answer."""
    return small([OPERATIONS[0]._replace(**changes), *OPERATIONS[1:]])


LATE = {"deadline_ns": 1, "return_ns": 3000 * MS}
WRONG = {"answer": "another"}
LOCKED = Leftovers(keys_not_free=(KEY,))


@pytest.mark.parametrize(
    ("strategy", "history", "verdict", "kept"),
    [
        ("pessimistic", small(), "as claimed", True),
        ("pessimistic", with_answer(**LATE), "late", False),
        ("pessimistic", with_answer(**WRONG), "VIOLATED", False),
        ("pessimistic", with_answer(**LATE, **WRONG), "VIOLATED", False),
        ("pessimistic", small(leftovers=LOCKED), "VIOLATED", False),
        ("pessimistic", small(extra={"undecided": 1}), "VIOLATED", False),
        ("unprotected", with_answer(**WRONG), "violated as claimed", True),
        ("unprotected", with_answer(**LATE), "not caught", False),
        ("unprotected", small(leftovers=LOCKED), "not caught", False),
        ("unprotected", small(extra={"errors": [["service 0", "Traceback"]]}), "not caught", False),
        ("unprotected", small(rows=()), "violated as claimed", True),
        ("in-process", small(), "not caught", False),
        ("in-process", with_answer(**WRONG), "violated as claimed", True),
    ],
)
def test_verdict(strategy, history, verdict, kept):
    """What was slow alone is `late`; a control is caught by a rule about data, and must be."""
    found = summarise(plan(strategy), history)
    assert (found.verdict, found.kept) == (verdict, kept), found


def exposed(**changes):
    """The smallest right history under a fault that acted."""
    log = (fault(2, "redis-flush", "inject")._replace(hit=("service 0",)), fault(5, "redis-flush", "heal"))
    return small(faults=("redis-flush",), fault_log=log, **changes)


def test_a_bare_lock_must_be_caught_where_its_lease_is_lost():
    """As in a ring; nothing is asked of it on SQLite, which has one writer at a time."""
    bare = plan("redis-pubsub:bare", "redis-flush")
    assert summarise(bare, exposed()).verdict == "not caught"
    assert summarise(bare, exposed(requests=FINAL.requests[1:])).verdict == "violated as claimed"
    found = summarise(replace(bare, database="sqlite"), exposed())
    assert (found.verdict, found.kept) == ("as claimed", True)


def test_a_fault_that_missed_is_not_said_to_be_what_was_violated():
    """A rule is broken, and the fault hit nothing: the verdict, and then what the fault did not do."""
    history = exposed(requests=FINAL.requests[1:])
    history = replace(history, fault_log=tuple(each._replace(hit=()) for each in history.fault_log))
    found = summarise(plan("redis-pubsub", "redis-flush"), history)
    assert found.verdict == "VIOLATED"
    assert found.reason.startswith("not exposed: redis-flush hit nothing")
    assert summarise(plan("redis-pubsub", "redis-flush"), replace(history, final=FINAL)).reason.startswith(
        "redis-flush"
    )


def test_a_mutex_in_one_process_claims_what_the_others_claim():
    """No control without a second process."""
    alone = plan("in-process", processes=1)
    assert summarise(alone, small()).verdict == "as claimed"
    assert summarise(alone, with_answer(**WRONG)).verdict == "VIOLATED"


def test_the_first_violation_is_one_that_the_machine_cannot_explain():
    """A lock that stays stands before an answer that was late, though its rule is checked after it."""
    history = with_answer(**LATE)
    history = replace(history, final=replace(history.final, extra={"errors": [["service 0", "Traceback"]]}))
    found = summarise(plan("pessimistic"), history)
    assert found.first.rule == "unexpected"
    assert "in-time" in found.violations


def test_an_open_loop_says_what_it_offered_and_could_not_send():
    """So that nobody takes the rate that was wanted for the one that there was; a closed loop offers none."""
    made, closed = plan("pessimistic", rate=2000.0), plan("pessimistic")
    history = small(extra={"offered": {"offered": 1500, "late": 3, "not_sent": 1400}})
    (_, said) = _lines(made, summarise(made, history), "")
    assert said == (
        "  2000 requests a second were offered, 1,500 in all: 1,400 not sent, as every client was busy; 3 late"
    )
    assert len(_lines(closed, summarise(closed, small()), "")) == 1
