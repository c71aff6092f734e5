"""The answer in a minute: who is fastest, what was violated, and no more than the figures say."""

import pytest

from stockade.lab.report.answer import answer
from stockade.lab.report.numbers import jain, middle
from tests.lab.report.documents import (
    STRATEGIES,
    claim,
    claims_document,
    deadlock,
    lab_document,
    ring,
    run,
    source,
    sweep,
)


@pytest.fixture
def lines(tmp_path):
    """Function: documents -> the lines of the answer by what they say first."""

    def of(*documents):
        sources = [source(tmp_path, values, f"{number}.json") for number, values in enumerate(documents)]
        return {line.lead: line for line in answer(sources)}

    return of


REPORTED = {"pessimistic": 527.0, "redis-spin": 1129.0, "redis-pubsub": 584.0, "kafka": 377.0}


def four(**times):
    """The strategies of the report with these times, as it ranks them unless a test says otherwise."""
    usual = {"pessimistic": 50.0, "redis_pubsub": 60.0, "redis_spin": 90.0}
    return [run(name.replace("_", "-"), time) for name, time in (usual | times).items()]


def test_the_fastest_that_kept_its_promise(lines):
    """What broke a rule is not ranked, however fast it is."""
    found = lines(lab_document(run("unprotected", 5.0), run("sequencer", 10.0), run("pessimistic", 50.0)))
    text = found["sequencer is the fastest"].text
    assert text.startswith("10.")
    assert "2 strategies kept their promise" in text
    assert "pessimistic 5.0" in text


def test_two_that_cannot_be_told_apart_are_not_ranked(lines):
    """Their intervals touch; the control: with narrow ones the same medians are ranked."""
    close = [run("sequencer", 10.0, factor=0.5), run("pessimistic", 10.5, factor=0.5)]
    assert "sequencer and pessimistic are too close to call" in lines(lab_document(*close))
    clear = [run("sequencer", 10.0, factor=0.001), run("pessimistic", 10.5, factor=0.001)]
    assert "sequencer is the fastest" in lines(lab_document(*clear))


def test_the_published_order_holds(lines):
    """Ours is theirs, with theirs beside; Kafka until it accepted, and its decision apart."""
    line = lines(lab_document(*four(), run("kafka", 70.0)))["The published order holds"]
    assert "Kafka 377 < pessimistic lock 527 < Redisson 584 < Lettuce spin lock 1,129" in line.text
    assert "Kafka 12" in line.text
    assert "its orders are decided after 69.8 ms" in line.text


def test_the_published_order_does_not_hold(lines):
    """A pair that is the other way round is said, unless both are too close."""
    assert "The published order does not hold" in lines(lab_document(*four(redis_spin=20.0)))
    wide = [each | {"wall_ms": run(wall_ms=55.0, factor=0.6)["wall_ms"]} for each in four()[:2]]
    line = lines(lab_document(*wide, four()[2]))["The published order holds as far as it can be told"]
    assert "Too close to call: pessimistic lock and Redisson" in line.text


def test_another_load_has_no_published_order(lines):
    """The report measured 30 buyers of 20 units; figures of another load do not stand beside its."""
    other = [each | {"buyers": 60} for each in four()]
    assert not [lead for lead in lines(lab_document(*other)) if "published" in lead]
    assert not [lead for lead in lines(lab_document(*(each | {"preset": "own"} for each in four()))) if "publ" in lead]


def test_a_control_that_broke_and_one_that_is_missing(lines):
    """A load without a failure proves nothing, and the answer says so."""
    assert lines(lab_document(run(), run("unprotected")))["Broken, as it must be"].kind == "meant"
    assert "No negative control failed" in lines(lab_document(run()))


def test_a_broken_promise_comes_out(lines):
    """A protecting strategy that broke a rule is named, in red, and not called meant."""
    bad = run("redlock", verdict="broken", violations=[{"rule": "oversell"}])
    found = lines(lab_document(run(), bad, run("unprotected")))
    assert found["A promise was broken"].kind == "bad"
    assert "redlock" in found["A promise was broken"].text
    assert "redlock" not in found["Broken, as it must be"].text


def test_in_process_in_two_processes_is_a_control(lines):
    """It claims one process only; in one, the same violation is a broken promise."""
    broken = {"verdict": "broken", "violations": [{"rule": "oversell"}]}
    assert "Broken, as it must be" in lines(lab_document(run("in-process", **broken, processes=2)))
    assert "A promise was broken" in lines(lab_document(run("in-process", **broken)))


def test_runs_under_faults(lines):
    """Kept and broken ones."""
    kept = lab_document(run(fault="pause"), schema="stockade.lab/2")
    assert lines(kept)["Under aimed faults"].kind == "good"
    bad = lab_document(run(fault="pause", verdict="broken"), schema="stockade.lab/2")
    assert "pessimistic under pause" in lines(bad)["Under aimed faults a promise was broken"].text


def test_rings_deadlocks_claims_and_sweeps(lines):
    """One line each, red where something is not as it must be."""
    found = lines(ring(), deadlock(), claims_document(claim(), claim("quorum", "holds", as_expected=False)), sweep())
    assert found["Under random faults"].kind == "bad"
    assert "1 failed, first postgres.optimistic.database-kill.hot (VIOLATED)" in found["Under random faults"].text
    assert "not so: row by row, sorted" in found["Deadlocks on postgres"].text
    assert "Not to be trusted: quorum" in found["2 claims of the reports"].text
    assert "from optimistic to pessimistic between 5 and 30 (buyers)" in found["The order flips"].text


def test_every_strategy_has_a_row(tmp_path):
    """A document of all of them is whole in the comparison; Kafka has two times."""
    from stockade.lab.report.sections.comparison import section

    table = section([source(tmp_path, lab_document())]).parts[1].table
    names = [row[0] for row in table.rows]
    assert sorted({name.partition(" (")[0] for name in names}) == sorted(STRATEGIES)
    assert {"kafka (accepted)", "kafka (decided)"} <= set(names)


@pytest.mark.parametrize(("count", "least"), [(3, 0), (6, 0), (30, 9), (100, 39)])
def test_the_interval_of_a_median(count, least):
    """The ranks of the binomial distribution, as in printed tables; few samples have their range."""
    found = middle(range(count))
    assert (found.low, found.high) == (least, count - 1 - least)


def test_jain():
    """1 if all have the same, 1/n if one has everything."""
    assert jain([3, 3, 3]) == pytest.approx(1)
    assert jain([9, 0, 0]) == pytest.approx(1 / 3)
    assert jain([0, 0]) == 1
