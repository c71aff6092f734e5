"""What the answer calls good: only what was shown, because a negative control failed beside it."""

import pytest

from stockade.lab.history.history_file import write_history
from stockade.lab.report import documents
from stockade.lab.report.answer import answer
from stockade.lab.report.documents import read_source
from stockade.lab.ring.cell import Cell, CellResult, Found
from stockade.lab.ring.document import document as ring_document
from stockade.lab.ring.expectation import AS_CLAIMED, BROKEN_AS_CLAIMED, HELD, MUST_BREAK, NOT_EXPOSED
from stockade.lab.ring.matrix import matrix_of
from tests.lab.checkers.small_histories import KEY, fault, small
from tests.lab.report.documents import ENVIRONMENT, LUCKY, deadlock, lab_document, run, source, sweep

BROKEN = {"verdict": "broken", "violations": [{"rule": "oversell"}]}
PAID = {
    "approvals_per_payment": 1.0,
    "most_approvals": 1,
    "charged_not_recorded": 0,
    "recorded_not_charged": 0,
    "connections_held": 0,
    "pool_wait_ms": 0.0,
    "payments_s": 9.0,
}


@pytest.fixture
def lines(tmp_path):
    """Function: documents and histories -> the lines of the answer by what they say first."""

    def of(*found):
        sources = []
        for number, each in enumerate(found):
            if isinstance(each, dict):
                sources.append(source(tmp_path, each, f"{number}.json"))
            else:
                write_history(each, tmp_path / f"{number}.jsonl")
                sources.append(read_source(str(tmp_path / f"{number}.jsonl")))
        return {line.lead: line for line in answer(sources)}

    return of


def kinds(found):
    """The kinds of all lines."""
    return {line.kind for line in found.values()}


@pytest.mark.parametrize(
    ("control", "good"),
    [
        ([], False),
        ([run("unprotected", 5.0, **LUCKY)], False),
        ([run("unprotected", 5.0, violations=[{"rule": "unexpected", "detail": "failed with OSError"}])], False),
        ([run("unprotected", 5.0)], True),
    ],
    ids=["none", "lucky", "only an error", "oversold"],
)
def test_a_load_without_a_failure_has_nothing_good(lines, control, good):
    """The fastest is green only where a control broke a rule about what was sold."""
    found = lines(lab_document(*control, run("sequencer", 10.0), run("pessimistic", 50.0)))
    assert (found["sequencer is the fastest"].kind == "good") is good
    assert ("good" in kinds(found)) is good
    assert ("which shows nothing" in found["sequencer is the fastest"].text) is not good
    assert ("No negative control failed" in found) is not good


def test_a_preset_in_which_no_control_must_fail(lines):
    """There `unprotected` gets the verdict of the others: it is neither the fastest nor good."""
    load = {"preset": "double-tap:one-key", "buyers": 10, "stock": 0}
    found = lines(lab_document(run("unprotected", 5.0, **LUCKY | load), run("pessimistic", 50.0, **load)))
    assert "pessimistic alone kept its promise" in found
    assert "good" not in kinds(found)


def test_a_broken_promise_is_said_however_many_loads_there_are(lines):
    """The answer speaks of three loads, and of every broken promise."""
    names = ("reference", "peak", "use", "last-unit", "five-each")
    runs = [run(preset=name) for name in names[:-1]] + [run(preset=names[-1], **BROKEN)]
    assert "five-each" in lines(lab_document(*runs))["A promise was broken"].text


def test_runs_under_faults(lines):
    """Good with a control that failed, quiet without one, with a lucky one, and where one of two loads has none."""
    control, kept = run("unprotected", fault="pause"), run(fault="pause")
    other = run(fault="restart", preset="peak")
    assert lines(lab_document(control, kept, schema="stockade.lab/2"))["Under aimed faults"].kind == "good"
    for runs in ([kept], [kept, run("unprotected", fault="pause", **LUCKY)]):
        found = lines(lab_document(*runs, schema="stockade.lab/2"))
        assert found["Under aimed faults nothing was shown"].kind == "quiet"
        assert "good" not in kinds(found)
    found = lines(lab_document(control, kept, other, schema="stockade.lab/2"))
    assert "in peak under restart" in found["Under aimed faults not everything was shown"].text
    bad = lines(lab_document(control, run(fault="pause", **BROKEN), schema="stockade.lab/2"))
    line = bad["Under aimed faults a promise was broken"]
    assert (line.kind, "pessimistic in reference under pause (broken)" in line.text) == ("bad", True)
    assert "good" not in kinds(bad)


def test_payments(lines):
    """A scheme that the preset lets break is their control, under the same load; a broken promise is said."""
    load = {"preset": "payment-lost-reply:again", "payments": PAID}
    control = run("version-no-key", **BROKEN | load)
    assert lines(lab_document(run(**load), schema="stockade.lab/3"))["In payments nothing was shown"].kind == "quiet"
    assert lines(lab_document(run(**load), control, schema="stockade.lab/3"))["In payments"].kind == "good"
    bad = lines(lab_document(run(**BROKEN | load), control, schema="stockade.lab/3"))
    assert bad["In payments a promise was broken"].kind == "bad"
    assert bad["In payments a promise was broken"].text == "pessimistic in payment-lost-reply:again (broken)."


def rings(*cells, complete=True):
    """A ring of these cells: strategy, expectation, verdict."""
    found = []
    for number, (name, expected, verdict) in enumerate(cells):
        rules = (Found("no-oversell", "21 of 20"),) if verdict == BROKEN_AS_CLAIMED else ()
        found.append(CellResult(Cell("postgres", name, (), "hot"), number, expected, verdict, rules, {"ok": 9}))
    matrix = matrix_of(found, list(dict.fromkeys(name for name, _, _ in cells)), [], [])
    return ring_document(ENVIRONMENT, {"seed": 7, "seconds": 6.0}, found, matrix, complete=complete)


KEPT = ("pessimistic", HELD, AS_CLAIMED)
CAUGHT = ("unprotected", MUST_BREAK, BROKEN_AS_CLAIMED)


def test_a_ring_is_good_only_with_a_control(lines):
    """And whole, and exposed to its faults, and with a claim that was kept."""
    assert lines(rings(KEPT, CAUGHT))["Under random faults"].kind == "good"
    unexposed = ("optimistic", HELD, NOT_EXPOSED)
    for found in (rings(KEPT), rings(CAUGHT), rings(KEPT, CAUGHT, complete=False), rings(KEPT, CAUGHT, unexposed)):
        assert lines(found)["Under random faults"].kind == "quiet"
    assert "no negative control was caught" in lines(rings(KEPT))["Under random faults"].text
    assert "1 said nothing" in lines(rings(KEPT, CAUGHT, unexposed))["Under random faults"].text


def test_deadlocks_are_cured_only_if_a_control_had_some(lines):
    """Experiments without a control, and no experiment at all, are not good."""
    found = deadlock()
    control, cured = found["deadlock"]["experiments"]
    for some, kind in (([control, cured | {"held": True}], "good"), ([cured | {"held": True}], "quiet"), ([], "quiet")):
        found["deadlock"]["experiments"] = some
        assert lines(found)["Deadlocks on postgres"].kind == kind


def test_a_sweep_that_compared_nothing(lines):
    """It does not say that no order flips; a broken claim is red."""
    found = lines(sweep(held=(5, 30, 120), broke=[]))
    assert found["No order was compared"].kind == "quiet"
    assert "0 of 6 points of strategies" in found["No order was compared"].text
    broken = lines(sweep())["In a sweep a claim was broken"]
    assert (broken.kind, broken.text) == ("bad", "by optimistic at buyers=120.")
    assert "In a sweep a claim was broken" not in lines(sweep(broke=[]))


def test_recordings_say_what_was_broken(lines, monkeypatch):
    """A claim in red, a control as meant, and what was not judged, not exposed and not shown."""
    found = lines(small())
    assert "0 broke a claim. No recording of a negative control was caught" in found["Over time"].text
    wrong = {"initial": {KEY: 1}}
    assert "pessimistic (" in lines(small(**wrong))["In a recording a claim was broken"].text
    both = lines(small(), small(strategy="unprotected", **wrong))
    assert both["Recordings that claim nothing broke rules"].kind == "meant"
    assert "No recording of a negative control" not in both["Over time"].text
    idle = lines(small(faults=("pause",), fault_log=(fault(1, "pause", "inject"),)))
    assert "Shows nothing, a fault did not act: pessimistic." in idle["Over time"].text
    monkeypatch.setattr(documents, "JUDGED", 1)
    unjudged = lines(small(**wrong))
    assert "Not judged here, too many operations: pessimistic." in unjudged["Over time"].text
    assert not any("good" in kinds(each) for each in (found, both, idle, unjudged))
