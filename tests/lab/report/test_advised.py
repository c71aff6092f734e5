"""The first lines of a report: which control to take, and where documents contradict each other."""

import re

from stockade.lab.live.words import words
from stockade.lab.model.contender import all_contenders
from stockade.lab.report.advised import advised
from stockade.lab.report.build import build
from stockade.lab.report.page import Line
from stockade.lab.report.sections import controls
from tests.lab.report.documents import lab_document, run, source, sweep


def lines(folder, *documents):
    """The lines by what they say first."""
    sources = [source(folder, values, f"{number}.json") for number, values in enumerate(documents)]
    return {line.lead: line.text for line in advised(sources)}


def burst(fast, slow):
    """A burst in which one is clearly faster, beside a control that failed."""
    return lab_document(run(fast, 10.0, count=7), run(slow, 90.0, count=7), run("unprotected", 5.0))


def test_a_sweep_says_what_to_take_up_to_where(tmp_path):
    """Where the order flips, both are named; without a flip one is."""
    found = lines(tmp_path, sweep(broke=()))
    lead = "Take optimistic up to 5 buyers, pessimistic from 30 buyers"
    assert lead in found
    assert re.search(r"\d times \(intervals [\d.]+ to [\d.]+\) as many orders as the next one", found[lead])
    assert "It needs nothing but the database" in found[lead]
    assert "The answer flips between 5 and 30 buyers, at about " in found[lead]
    assert "flips" not in lines(tmp_path, sweep((5,), broke=()))["Take optimistic at 5 buyers"]


def test_what_is_advised_is_explained(tmp_path):
    """In the words of the live page, for the database; there is a sentence for every control that there is."""
    found = lines(tmp_path, burst("optimistic", "pessimistic"))
    assert found["What optimistic does"] == words("en")["why.optimistic"]
    assert controls.meaning("sequencer", "sqlite") == words("en")["why.sequencer.sqlite"]
    assert all(controls.meaning(each.name, "postgres") for each in all_contenders(with_forms=True))
    assert controls.meaning("version-no-key", "postgres") == ""  # a scheme of payments


def test_the_answer_names_no_control_that_is_not_explained(tmp_path):
    """A section has what each does that the answer names, and no other."""
    made = build([source(tmp_path, burst("optimistic", "pessimistic"), "a.json")])
    (section,) = [each for each in made.sections if each.name == controls.NAME]
    assert [row[0] for row in section.parts[0].rows] == ["unprotected", "optimistic", "pessimistic"]
    assert controls.section([Line("Nothing", "is-optimistic-here.")], []) is None


def test_a_margin_has_its_interval(tmp_path):
    """As `stockade lab advise` prints it: a wide one claims less."""
    text = lines(tmp_path, burst("optimistic", "pessimistic"))["Take optimistic"]
    assert re.search(r"It decides [\d.]+ times \(interval ([\d.]+) to ([\d.]+)\) as many", text)
    wide = [run(name, time, count=7, factor=0.5) for name, time in (("optimistic", 10.0), ("pessimistic", 90.0))]
    found = lines(tmp_path, lab_document(*wide, run("unprotected", 5.0)))["Take optimistic"]
    low, high = map(float, re.search(r"\(interval ([\d.]+) to ([\d.]+)\)", found).groups())
    assert high > 2 * low


def test_when_an_answer_holds(tmp_path):
    """The load of a burst, what others need, and what was not measured: one line each."""
    runs = [run(name, time, count=7) for name, time in (("sequencer", 10.0), ("in-process", 90.0), ("redlock", 95.0))]
    found = lines(tmp_path, lab_document(*runs, run("pessimistic", 80.0), run("unprotected", 5.0)))
    where = "For stock on postgres, in the burst reference (30 buyers at once, one process). "
    assert found["Take sequencer"].startswith(where)
    others = found["When others may be taken for stock on postgres"]
    assert others.startswith("in-process: only while one process takes orders; redlock: needs redis. ")
    assert found["Not measured for stock on postgres"] == (
        "whether the answer changes with buyers, keys, section, pool, processes, skew and latency. "
        "Measure it with: stockade lab sweep --database postgres --json sweep.json"
    )
    kafka = lines(tmp_path, lab_document(*runs, run("kafka", 20.0), run("unprotected", 5.0)))
    assert "and partitions" in kafka["Not measured for stock on postgres"]
    assert others.endswith("The other ones need nothing but the database, in any number of processes.")
    fast = [run(name, time, count=7) for name, time in (("in-process", 10.0), ("redlock", 95.0), ("unprotected", 5.0))]
    alone = lines(tmp_path, lab_document(*fast))["When others may be taken for stock on postgres"]
    assert alone == "redlock: needs redis."
    plain = lines(tmp_path, burst("optimistic", "pessimistic"))
    assert "When others may be taken for stock on postgres" not in plain


def test_too_few_rounds_say_what_to_do(tmp_path):
    """Three rounds decide nothing; the control is the test above, with seven."""
    found = lines(tmp_path, sweep(broke=(), rounds=3))
    assert not [lead for lead in found if lead.startswith("Take")]
    text = found["Nothing can be decided for stock on postgres, by buyers"]
    assert text == "too few rounds (3 of 5): nothing can be decided; go on with --repeats 7."


def test_a_burst_against_the_sweep(tmp_path):
    """At 30 buyers the sweep says pessimistic: a burst that says otherwise contradicts it."""
    text = lines(tmp_path, sweep(broke=()), burst("optimistic", "pessimistic"))[
        "Two measurements contradict each other"
    ]
    assert "the burst reference (1.json) says optimistic, but the sweep buyers=30 (0.json) says pessimistic" in text
    agreed = lines(tmp_path, sweep(broke=()), burst("pessimistic", "optimistic"))
    assert "Two measurements contradict each other" not in agreed


def test_what_broke_its_claim_is_not_to_be_taken(tmp_path):
    """It is named, with the reason; without the violation it is not."""
    assert "Do not take optimistic" in lines(tmp_path, sweep())
    assert "Do not take optimistic" not in lines(tmp_path, sweep(broke=()))


def test_a_sweep_of_an_older_file(tmp_path):
    """Its samples have `repeat` where they now have `round`; the lines are the same."""
    values = sweep(broke=())
    now = lines(tmp_path, values)
    for point in values["sweep"]["points"]:
        for each in point["samples"]:
            each["repeat"] = each.pop("round")
    assert lines(tmp_path, values) == now
