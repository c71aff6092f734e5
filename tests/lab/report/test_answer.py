"""The answer in a minute: who is fastest, what was violated, and no more than the figures say.

Neighbour: `test_proof.py` has what is called good.
"""

import pytest

from stockade.lab.report.answer import answer
from stockade.lab.report.sections.comparison import section
from tests.lab.report.documents import (
    LUCKY,
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
    """What broke a rule is not ranked, however fast it is; a control has no promise that it could have kept."""
    three = [run("unprotected", 5.0), run("sequencer", 10.0), run("pessimistic", 50.0)]
    found = lines(lab_document(*three))
    text = found["sequencer is the fastest"].text
    assert text.startswith("10.")
    assert "2 of 2 strategies that promise something kept it" in text
    assert "pessimistic 5.0" in text
    bad = run("redlock", 20.0, verdict="broken", violations=[{"rule": "oversell"}])
    assert "2 of 3 strategies" in lines(lab_document(*three, bad))["sequencer is the fastest"].text


def test_two_that_cannot_be_told_apart_are_not_ranked(lines):
    """Their intervals touch; the control: with narrow ones the same medians are ranked."""
    close = [run("sequencer", 10.0, factor=0.5), run("pessimistic", 10.5, factor=0.5)]
    assert "sequencer and pessimistic are too close to call" in lines(lab_document(*close))
    clear = [run("sequencer", 10.0, factor=0.001), run("pessimistic", 10.5, factor=0.001)]
    assert "sequencer is the fastest" in lines(lab_document(*clear))


def test_a_lucky_control_is_not_ranked(lines):
    """`unprotected` that broke nothing, or a bare lock, is no strategy; the control: one that promises something."""
    for name, wanted in (("unprotected", "sequencer"), ("redis-spin:bare", "sequencer"), ("optimistic", "optimistic")):
        lucky = run(name, 5.0, **LUCKY)
        found = lines(lab_document(lucky, run("sequencer", 10.0), run("pessimistic", 50.0)))
        assert [lead for lead in found if lead.endswith("is the fastest")] == [f"{wanted} is the fastest"]


def test_too_few_repeats_rank_nothing(lines):
    """One repeat has an interval of no width, four cover 87 %; the control: five rank the same times."""
    for count, clear in ((1, False), (4, False), (5, True)):
        runs = [run("sequencer", 10.0, count=count), run("pessimistic", 50.0, count=count)]
        found = lines(lab_document(*runs))
        assert ("sequencer is the fastest" in found) is clear
        assert ("sequencer and pessimistic are too close to call" in found) is not clear
    few = [each | {"wall_ms": run(wall_ms=each["wall_ms"]["median"], count=1)["wall_ms"]} for each in four()]
    assert "Whether the published order holds cannot be told" in lines(lab_document(*few))


def test_a_wrong_answer_has_no_place_in_the_order(lines):
    """Rows that broke their promise are left out of the published order, and named."""
    broken = {"verdict": "broken", "violations": [{"rule": "oversell"}]}
    bad = [run("redis-spin", 20.0, **broken), *four()[:2]]
    line = lines(lab_document(*bad))["The published order holds"]
    assert "Not compared, because it kept no promise here: Lettuce spin lock." in line.text
    assert "Lettuce" not in line.text.partition("Not compared")[0]
    alone = lines(lab_document(bad[0], run("pessimistic")))["The published order is not judged"]
    assert "Lettuce spin lock" in alone.text
    assert "The published order does not hold" in lines(lab_document(run("redis-spin", 20.0), *four()[:2]))


def test_the_published_order_holds(lines):
    """Ours is theirs, with theirs beside; Kafka until it accepted, and its decision apart."""
    line = lines(lab_document(*four(), run("kafka", 70.0), run("unprotected")))["The published order holds"]
    assert line.kind == "plain"
    assert "Kafka 377 < pessimistic lock 527 < Redisson 584 < Lettuce spin lock 1,129" in line.text
    assert "Kafka 12" in line.text
    assert "its orders are decided after 69.7 ms" in line.text


def test_the_published_order_does_not_hold(lines):
    """A pair that is the other way round is said, unless both are too close."""
    assert "The published order does not hold" in lines(lab_document(*four(redis_spin=20.0)))
    wide = [each | {"wall_ms": run(wall_ms=55.0, factor=0.6)["wall_ms"]} for each in four()[:2]]
    line = lines(lab_document(*wide, four()[2]))["The published order holds as far as it can be seen"]
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
    table = section([source(tmp_path, lab_document())]).parts[0].table
    names = [row[0] for row in table.rows]
    assert sorted({name.partition(" (")[0] for name in names}) == sorted(STRATEGIES)
    assert {"kafka (accepted)", "kafka (decided)"} <= set(names)
