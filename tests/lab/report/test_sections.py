"""Sections show the worst, leave out what was not measured, and say how sure an interval is."""

from types import SimpleNamespace

import pytest

from stockade.lab.errors import LabError
from stockade.lab.history.history_file import write_history
from stockade.lab.report.documents import read_source
from stockade.lab.report.page import Figure, plain
from stockade.lab.report.sections import comparison, cost, faults, latency, payments, sweeps, throughput, waiting
from stockade.lab.report.sections.swept_cost import costs
from stockade.lab.report.swept import usual
from stockade.lab.sweeps.analysis.crossovers import NONE, NOT_CLEAR, NOT_MEASURED, Crossover
from tests.lab.checkers.small_histories import OPERATIONS, operation, small
from tests.lab.report.documents import LUCKY, lab_document, run, source, sweep
from tests.lab.report.test_proof import BROKEN, PAID


def squares(figure):
    """The mark of each square of a matrix, by strategy and fault."""
    values = figure.draw(720)["layer"][0]["data"]["values"]
    return {(each["row"], each["column"]): each["mark"] for each in values}


def column(table, head):
    """The texts of a column by those of the first one."""
    at = table.heads.index(head)
    return {plain(row[0]): plain(row[at]) for row in table.rows}


def test_a_square_of_two_runs_shows_the_worse_one(tmp_path):
    """Whatever their order: a run with other buyers, or of another file, covers nothing."""
    control, bad = run("unprotected", fault="pause"), run(fault="pause", buyers=60, **BROKEN)
    for runs in ((run(fault="pause"), bad, control), (bad, run(fault="pause"), control)):
        figure = faults.section([source(tmp_path, lab_document(*runs, schema="stockade.lab/2"))]).parts[0]
        assert squares(figure)["pessimistic", "pause"] == "BROKEN"
        assert "A matrix of 3 runs: 1 broke a promise." in figure.says


def test_a_square_is_ok_only_beside_a_control_that_failed(tmp_path):
    """Without one it is not shown; a control that broke nothing promised nothing."""

    def marks(*runs):
        found = source(tmp_path, lab_document(*runs, schema="stockade.lab/2"))
        return squares(faults.section([found]).parts[0])

    kept = run(fault="crash")
    assert marks(kept, run("unprotected", fault="crash"))["pessimistic", "crash"] == "ok"
    lucky = marks(kept, run("unprotected", fault="crash", **LUCKY))
    assert lucky == {("pessimistic", "crash"): "not shown", ("unprotected", "crash"): "no promise"}


def test_a_verdict_is_green_only_beside_a_control_that_failed(tmp_path):
    """In the tables of the comparison and of payments."""
    shown = comparison.section([source(tmp_path, lab_document(run(), run("unprotected")))]).parts[0].table
    assert column(shown, "verdict") == {"pessimistic": "as promised", "unprotected": "broken, as meant"}
    lucky = comparison.section([source(tmp_path, lab_document(run(), run("unprotected", **LUCKY)))]).parts[0].table
    assert column(lucky, "verdict") == {
        "pessimistic": "as promised, not shown",
        "unprotected": "broke nothing, promises nothing",
    }
    found = payments.section([source(tmp_path, lab_document(run(preset="payment-once", payments=PAID)))])
    assert column(found.parts[0], "verdict") == {"pessimistic": "as promised, not shown"}


def test_ranks_beside_the_report(tmp_path):
    """What broke a rule has none, nor has one repeat; an interval says what it covers."""
    runs = [run("pessimistic", 50.0), run("redis-spin", 20.0, **BROKEN), run("redis-pubsub", 60.0, count=1)]
    table = comparison.section([source(tmp_path, lab_document(*runs))]).parts[1]
    assert column(table, "rank here") == {
        "pessimistic lock": "1",
        "Redisson": "none: too few repeats",
        "Lettuce spin lock": "none: kept no promise",
    }
    said = column(table, "interval ms (coverage)")
    assert said["pessimistic lock"].endswith("(96 %)")
    assert said["Redisson"] == "none: one sample"


@pytest.mark.parametrize(("rounds", "says"), [(1, "none: one sample"), (3, "(75 %)"), (7, "(98 %)")])
def test_an_interval_of_a_sweep_says_what_it_covers(tmp_path, rounds, says):
    """Not 95 % for any number of rounds."""
    section = sweeps.section([source(tmp_path, sweep(rounds=rounds))])
    found = column(section.parts[0].table, "interval (coverage)")
    assert all(each.endswith(says) for each in found.values())
    assert "Bands are 95 %" not in section.text[0]


@pytest.mark.parametrize(
    ("strategy", "broke", "says"),
    [
        ("unprotected", ("oversell",), "control: failed in 7 of 7 rounds, as meant"),
        ("redlock:bare", ("oversell",), "broke a rule, as meant"),
        ("redlock:bare", (), "no: a negative control"),
    ],
)
def test_a_bare_lock_is_not_said_to_have_failed_with_the_control(strategy, broke, says):
    """The rounds that are counted are those of `unprotected`."""
    result = SimpleNamespace(
        is_control=True,
        control_failed=True,
        control="7 of 7 rounds",
        violations=broke,
        why_not="a negative control",
        claim_violated=False,
    )
    found = sweeps._counts(SimpleNamespace(counts=False, strategy=strategy, result=result))
    assert found.text == says


def test_processor_time_without_a_part_is_not_drawn(tmp_path):
    """A part that was not measured is not 0: that strategy would be the cheapest. It stands in the table."""
    whole = sweep(values=(5, 30), broke=[])
    found = source(tmp_path, whole)
    figure = costs(found, found.sweep)[0]
    assert "pessimistic" in figure.says
    missing = source(tmp_path, sweep(values=(5, 30), broke=[], unmeasured=[("optimistic", "database_cpu_ms")]))
    figure = costs(missing, missing.sweep)[0]
    drawn = {each["name"] for layer in figure.draw(720)["layer"] for each in layer["data"]["values"] if "name" in each}
    assert drawn == {"pessimistic"}
    assert "Not drawn, because a part of it was not measured: optimistic." in figure.note
    assert set(column(figure.table, "processor of the service ms")) == {"optimistic", "pessimistic"}
    both = [(name, "database_cpu_ms") for name in ("optimistic", "pessimistic")]
    none = source(tmp_path, sweep(values=(5, 30), broke=[], unmeasured=both))
    assert not isinstance(costs(none, none.sweep)[0], Figure)


def test_sqlite_has_no_processor_time_of_its_own(tmp_path):
    """It runs in the service, so nothing is missing there."""
    both = [(name, "database_cpu_ms") for name in ("optimistic", "pessimistic")]
    found = source(tmp_path, sweep(values=(5, 30), broke=[], database="sqlite", unmeasured=both))
    assert "Not drawn" not in costs(found, found.sweep)[0].note


def test_lines_are_counted_once(tmp_path):
    """Further lines have those of the strategy's own files in them: no sum is shown."""
    table = cost.section([source(tmp_path, sweep())]).parts[-1]
    assert (column(table, "lines of its own"), column(table, "further lines")) == (
        {"pessimistic": "57"},
        {"pessimistic": "12"},
    )


def test_one_median_of_the_same_repeats(tmp_path):
    """Of an even number too, where half of them end within the lower middle one: both tables say the same."""
    found = [source(tmp_path, lab_document(run(wall_ms=100.0, factor=0.5, count=10)))]
    beside = column(comparison.section(found).parts[0].table, "median ms")
    assert column(latency.section(found).parts[0].table, "50 % within ms") == beside
    samples = sorted(found[0].document.runs[0].wall_ms.samples)
    assert f"{samples[4]:.1f}" != beside["pessimistic"].replace(",", "")


def test_samples_of_a_recording_are_its_decisions_without_reads(tmp_path):
    """The table of recordings counts every operation, and says how many of them the other tables are about."""
    history = small((*OPERATIONS, operation("read", 7, 8, command="read"), operation("lost", 8, 9, "unknown")))
    write_history(history, tmp_path / "h.jsonl")
    found = [read_source(str(tmp_path / "h.jsonl"))]
    summary = throughput.section(found).parts[0]
    (samples,) = column(latency.section(found).parts[0].table, "samples").values()
    counts = {head: next(iter(column(summary, head).values())) for head in ("ok", "refused", "decided, without reads")}
    assert (samples, counts) == ("3", {"ok": "3", "refused": "1", "decided, without reads": "3"})
    assert "without reads" in waiting.section(found).parts[0].title


def test_the_usual_load_is_where_most_count(tmp_path):
    """Of several the usual number of buyers, and the same one each time."""
    found = source(tmp_path, sweep()).sweep
    assert {each.value for each in usual(found.points)} == {30}
    fewer = source(tmp_path, sweep(broke=[("optimistic", 30), ("optimistic", 120)])).sweep
    assert {each.value for each in usual(fewer.points)} == {5}
    assert usual(source(tmp_path, sweep(held=(5, 30, 120))).sweep.points) == []


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("axis", "moon"),
        ("strategy", "none-of-that-name"),
        ("value", "5"),
        ("samples", [{"repeat": 0}]),
        ("setting", {"buyers": "many"}),
    ],
)
def test_a_sweep_of_another_form_is_one_line(tmp_path, member, value):
    """It is computed with, so it is examined before."""
    found = sweep()
    found["sweep"]["points"][0][member] = value
    with pytest.raises(LabError, match=r"^\S+lab\.json: has a sweep that cannot be read: [^\n]+$"):
        source(tmp_path, found)


@pytest.mark.parametrize(("member", "value"), [("wall_ms", 0.0), ("latencies_ms", [])])
def test_a_sample_that_cannot_be_computed_with_is_one_line(tmp_path, member, value):
    """No division by 0, and no percentile of nothing."""
    found = sweep()
    found["sweep"]["points"][0]["samples"][0][member] = value
    with pytest.raises(LabError, match="has a sweep that cannot be read"):
        source(tmp_path, found)


def test_what_an_order_costs_over_an_axis(tmp_path):
    """The cost at every value that counts; what does not count is in no row and no line, and one value is no axis."""
    found = source(tmp_path, sweep())
    figure = next(part for part in costs(found, found.sweep)[1:] if isinstance(part, Figure))
    rows = {(row[0], row[1]) for row in figure.table.rows}
    assert rows == {("5", "optimistic"), ("30", "optimistic"), *((each, "pessimistic") for each in ("5", "30", "120"))}
    drawn = {
        (each["name"], each["x"])
        for layer in figure.draw(720)["layer"]
        for each in layer["data"]["values"]
        if {"name", "x"} <= each.keys()
    }
    assert drawn == {(name, float(value)) for value, name in rows}
    alone = source(tmp_path, sweep(values=(30,), broke=[]))
    assert len(costs(alone, alone.sweep)) == 2


def test_failure_modes_beyond_those_of_everybody(tmp_path):
    """How many faults can hit this strategy and not `unprotected`; an older document does not say it."""
    values = sweep()
    assert column(costs(*swept(tmp_path, values))[-1], "further ones") == {"pessimistic": ""}
    values["sweep"]["complexity"][0]["further_failure_modes"] = ["redis-kill", "redis-failover"]
    assert column(costs(*swept(tmp_path, values))[-1], "further ones") == {"pessimistic": "2"}


def swept(folder, values):
    """A source and its sweep."""
    found = source(folder, values)
    return found, found.sweep


@pytest.mark.parametrize(
    ("verdicts", "says"),
    [
        ((NONE, NONE), "Of each two that were compared the same one is faster throughout."),
        (
            (NONE, NOT_CLEAR),
            "In 1 of 2 comparisons the same one is faster throughout; the others are too close to call.",
        ),
        ((NOT_CLEAR, NOT_MEASURED), "Which of two is faster is too close to call."),
        ((NOT_MEASURED,), ""),
    ],
)
def test_an_order_that_does_not_flip_is_said_plainly(verdicts, says):
    """Not as if something were unclear: only what was too close is said to be."""
    assert sweeps.unturned([Crossover("buyers", "which", "a", "b", verdict) for verdict in verdicts]) == says
