"""Exposure: a history in which a fault did not act says nothing about it; each way not to act is a negative control."""

import pytest
from typer.testing import CliRunner

from stockade.cli import app
from stockade.lab.checkers import judge
from stockade.lab.checkers.exposure import exposures, not_exposed
from stockade.lab.faults import find_faults
from stockade.lab.history.history_file import write_history
from stockade.lab.history.operation import FAILED
from stockade.lab.model.contender import Contender
from stockade.lab.recording.plan import RecordingPlan
from stockade.lab.ring.summary import summarise
from stockade.lab.workloads.registry import find_workload
from tests.lab.checkers.small_histories import MS, OPERATIONS, fault, small

HIT = ("service 0",)


def times(name="process-kill", begin=2, end=5, *, hit=HIT, in_place=None):
    """An injection and a heal; the injection has ended at `in_place`."""
    injected = fault(begin, name, "inject")._replace(hit=hit, end_ns=(begin if in_place is None else in_place) * MS)
    return injected, fault(end, name, "heal")


def exposed(*log, faults=("process-kill",), operations=OPERATIONS, **settings):
    """The smallest right history, with these faults planned and this log."""
    return small(operations, faults=faults, fault_log=log, settings=settings)


def test_a_fault_that_acted():
    """It hit something, was in place for 3 ms, met the operation from 3 to 4; that of 5 is too late."""
    (found,) = exposures(exposed(*times()))
    assert found == ("process-kill", HIT, 0.003, 1, "")
    assert not_exposed(exposed(*times())) == []
    assert not_exposed(exposed(faults=())) == []


AWAY = [each._replace(type=FAILED, code="PROCESS_AWAY") for each in OPERATIONS]
WRONG = {
    "hit nothing": (exposed(*times(hit=())), "hit nothing"),
    "no time": (exposed(*times(end=5, in_place=5)), "lasted 0 s"),
    "healed before it was in place": (exposed(*times(end=4, in_place=5)), "lasted 0 s"),
    "nothing in flight": (exposed(*times(begin=7, end=9)), "met no operation in flight"),
    "nothing at all": (exposed(*times(), operations=()), "met no operation in flight"),
    "no process had an operation": (exposed(*times(), operations=AWAY), "met no operation in flight"),
    "planned and not injected": (exposed(), "was never injected"),
    "another one was injected": (exposed(*times("jitter")), "was never injected"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_fault_that_did_not_act(what):
    """The history has no violation, and exposure says why that means nothing."""
    history, why = WRONG[what]
    assert not_exposed(history) == [f"process-kill {why}"]
    assert judge(history) == judge(exposed(faults=(), operations=history.operations))


def test_why_nothing_was_hit_is_told():
    """What the injection said stands in the reason."""
    injected, healed = times(hit=())
    history = exposed(injected._replace(detail="no service runs"), healed)
    assert not_exposed(history) == ["process-kill hit nothing (no service runs)"]


def test_what_only_the_healing_can_tell_was_hit_all_the_same():
    """A link is hit if something passed it; one through which nothing passed is not, and the healing says so."""
    injected, healed = times("jitter", hit=())
    touched = healed._replace(hit=("link client->redis: 120 bytes late",))
    (found,) = exposures(exposed(injected, touched, faults=("jitter",)))
    assert (found.hit, found.why_not) == (("link client->redis: 120 bytes late",), "")
    untouched = healed._replace(detail="nothing that it could touch was on the link client->redis")
    assert not_exposed(exposed(injected, untouched, faults=("jitter",))) == [
        "jitter hit nothing (nothing that it could touch was on the link client->redis)"
    ]


def test_of_several_times_one_is_enough():
    """A drawn schedule has a fault again and again: it acted if it acted once."""
    assert not_exposed(exposed(*times(begin=1, end=2, hit=()), *times(begin=2, end=5))) == []


def test_a_recording_whose_fault_did_not_act_is_neither_kept_nor_broken():
    """Its verdict says why, and it is no success; with the fault in place it is as claimed."""
    plan = RecordingPlan(
        find_workload("order-stream"), Contender.parse("pessimistic"), faults=find_faults("process-kill")
    )
    found = summarise(plan, exposed(*times(hit=())))
    assert (found.verdict, found.kept, found.reason) == ("not exposed", False, "process-kill hit nothing")
    assert summarise(plan, exposed(*times())).verdict == "as claimed"


def test_judging_a_history_shows_what_was_hit(tmp_path):
    """A line for each fault: what it hit, and for how long it was in place; or why it says nothing."""
    file = tmp_path / "history.jsonl"
    write_history(exposed(*times(), faults=("process-kill", "jitter")), file)
    output = CliRunner().invoke(app, ["lab", "judge", str(file)]).output
    assert "process-kill hit service 0: in place for 0.0 s, 1 operations in flight" in output
    assert "not exposed: jitter was never injected" in output


def test_faults_that_are_combined_must_have_been_in_place_together():
    """One after the other is no combination, unless the schedule draws them one after the other."""
    both = ("process-kill", "jitter")
    apart = [*times(begin=1, end=3, in_place=1), *times("jitter", begin=3, end=5, in_place=3)]
    together = [*times(begin=1, end=4), *times("jitter", begin=3, end=5)]
    missed = [f"{name} was not in place at one moment with the others" for name in both]
    assert not_exposed(exposed(*apart, faults=both, schedule="combined")) == missed
    assert not_exposed(exposed(*apart, faults=both, schedule="drawn")) == []
    assert not_exposed(exposed(*together, faults=both, schedule="combined")) == []
