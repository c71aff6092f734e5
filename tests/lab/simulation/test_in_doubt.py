"""A try that finds what its own lost commit has recorded: it says so, and nobody who was busy before is accused."""

from dataclasses import replace

from stockade.lab.checkers.indexed_history import IndexedHistory
from stockade.lab.checkers.requests.exactly_once import check
from stockade.lab.history.operation import FAILED
from stockade.lab.simulation.settings import Settings
from stockade.lab.simulation.simulation import play

SEEDS = 40


def alone():
    """Histories with a replayed decision of a request that was sent once: nobody else can have recorded it."""
    for seed in range(SEEDS):
        history = play(seed, Settings.named("pessimistic", "lost replies")).history
        for id_, tries in IndexedHistory(history).tries.items():
            if len(tries) == 1 and tries[0].replayed:
                yield history, id_, tries[0]


def test_a_try_that_found_its_own_decision_says_so():
    """The store tried again by itself, after it had lost the reply to its commit."""
    found = [each for _, _, each in alone()]
    assert len(found) > 5
    assert all(each.in_doubt for each in found)


def test_who_was_busy_before_has_not_lied():
    """The same histories with an honest failure in front; the control: without the doubt somebody must have lied."""
    for history, id_, own in alone():
        busy = own._replace(
            number=-1, invoke_ns=-2, return_ns=-1, type=FAILED, code="LOCK_TIMEOUT", replayed=False, versions={}
        )
        assert not broken(history, (busy, *history.operations))
        certain = [each._replace(in_doubt=False) if each == own else each for each in history.operations]
        (accused,) = broken(history, (busy, *certain))
        assert accused.request_id == id_
        assert "nothing happened" in accused.detail


def broken(history, operations):
    """What `exactly-once` says of the history with other operations."""
    return list(check(IndexedHistory(replace(history, operations=tuple(operations)))))
