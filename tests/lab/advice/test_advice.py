"""Advice on made-up documents: what is advised, the margin, the flips, and everything that must not be advised."""

import json

import jsonschema_rs
import pytest
from typer.testing import CliRunner

from stockade.cli import app
from stockade.lab.errors import LabError
from stockade.lab.presets import find
from tests.docs.blocks import blocks
from tests.lab.sweeps.made_up import made_document

VALUES = (5, 20, 60)
(SCHEMA,) = [block for block in blocks("lab.md", "json") if '"stockade.lab/3"' in block]
SIMPLE = {"services": {}, "own_lines": 50, "further_lines": 60}
COMPLEX = {"services": {"redis": 1}, "own_lines": 180, "further_lines": 8_000}


def buyers(walls, **options):
    return made_document("buyers", VALUES, walls, **options)


def run(strategy, walls, *, preset="reference", verdict="as promised", rules=(), **more):
    """One of the member `runs` of a document of bursts, with the buyers and the stock of its preset."""
    (_, variant), *_ = find(preset)
    return {
        "preset": preset,
        "strategy": strategy,
        "database": "sqlite",
        "processes": 1,
        "buyers": variant.buyers,
        "stock": variant.stock,
        "accepted": 20,
        "rejected": 10,
        "failed": 0,
        "violations": [{"rule": rule, "detail": ""} for rule in rules],
        "wall_ms": {"samples": walls},
        "verdict": verdict,
        "fault": "",
        **more,
    }


def test_the_fastest_is_advised_with_its_margin_and_the_flip(advice):
    """Optimistic is twice as fast at 5, half as fast from 20 on."""
    found, lines = advice(buyers({"optimistic": [10, 40, 80], "pessimistic": [20, 20, 20]}))
    (axis,) = found["stock"].axes
    assert [each.name for each in axis.choices] == ["optimistic", "pessimistic", "pessimistic"]
    assert axis.choices[0].margin.median == pytest.approx(2)
    assert axis.choices[0].second.contender.name == "pessimistic"
    (flip,) = axis.flips
    assert (flip.low, flip.high, flip.before, flip.after) == (5, 20, "optimistic", "pessimistic")
    assert 5 < flip.at < 20
    assert "5: optimistic, 3,000 decided/s" in lines
    assert "flips between 5 and 20 buyers" in lines


def test_what_is_as_fast_and_simpler_is_advised(advice):
    """Where the order is not clear, services and lines decide; the other one is named."""
    complexity = [{"strategy": "pessimistic", **SIMPLE}, {"strategy": "redis-pubsub", **COMPLEX}]
    found, lines = advice(buyers({"redis-pubsub": [20] * 3, "pessimistic": [20] * 3}, complexity=complexity))
    (axis,) = found["stock"].axes
    assert {each.name for each in axis.choices} == {"pessimistic"}
    assert not axis.flips
    assert "not clear against redis-pubsub" in lines
    assert "flips nowhere, from 5 to 60 buyers" in lines


def test_simplicity_does_not_outweigh_a_large_median(advice):
    """In three of seven rounds the fast one was slow: not clear. It is advised all the same, the other one is named."""
    complexity = [{"strategy": "pessimistic", **SIMPLE}, {"strategy": "redis-pubsub", **COMPLEX}]
    document = buyers({"redis-pubsub": [10, 10, 90], "pessimistic": [30, 30, 30]}, complexity=complexity)
    for point in document["sweep"]["points"]:
        if point["strategy"] == "redis-pubsub":
            for taken in point["samples"][:3]:
                taken["wall_ms"] = 100 - point["samples"][3]["wall_ms"]
    found, lines = advice(document)
    (axis,) = found["stock"].axes
    assert [each.name for each in axis.choices] == ["redis-pubsub", "redis-pubsub", "pessimistic"]
    assert not axis.flips
    assert "no flip that is clear, from 5 to 60 buyers" in lines
    assert "not clear against pessimistic" in lines


def test_lines_are_counted_once(advice):
    """`further_lines` has the own ones too: 100 beyond those that every strategy needs are fewer than 110."""
    longer = {"services": {}, "own_lines": 20, "further_lines": 110}
    shorter = {"services": {}, "own_lines": 90, "further_lines": 100}
    complexity = [{"strategy": "pessimistic", **longer}, {"strategy": "sequencer", **shorter}]
    found, _ = advice(buyers({"pessimistic": [20] * 3, "sequencer": [20] * 3}, complexity=complexity))
    assert {each.name for each in found["stock"].axes[0].choices} == {"sequencer"}


def test_who_gives_up_half_of_the_orders_is_not_advised(advice):
    """It is fast because it has half of the work; a round of seven is left out and said."""
    walls = {"optimistic": [10] * 3, "pessimistic": [20] * 3}
    found, lines = advice(buyers(walls, gave_up=[("optimistic", value) for value in VALUES]))
    assert {each.name for each in found["stock"].axes[0].choices} == {"pessimistic"}
    document = buyers(walls)
    for point in document["sweep"]["points"]:
        if point["strategy"] == "optimistic":
            point["samples"][2] |= {"accepted": 10, "rejected": 5, "failed": 15}
    found, lines = advice(document)
    assert {each.name for each in found["stock"].axes[0].choices} == {"optimistic"}
    assert "7.1% of all orders got no decision" in lines
    assert "gave up orders that could have succeeded in 1 of 7 rounds, which are left out" in lines


def test_one_with_too_few_rounds_does_not_hide_the_others(advice):
    """The fastest gave up orders in three of seven rounds: four are too few, and the next one has all seven."""
    document = buyers({"optimistic": [10] * 3, "pessimistic": [20] * 3})
    for point in document["sweep"]["points"]:
        if point["strategy"] == "optimistic":
            for taken in point["samples"][:3]:
                taken |= {"accepted": 10, "rejected": 5, "failed": 15}
    found, lines = advice(document)
    assert {each.name for each in found["stock"].axes[0].choices} == {"pessimistic"}
    assert "no margin; optimistic: 4 of at least 5 rounds" in lines


@pytest.mark.parametrize(
    ("held", "says"),
    [
        ((5,), "flips nowhere, from 20 to 60 buyers\n"),
        ((60,), "flips nowhere, from 5 to 20 buyers\n"),
        ((20,), "flips nowhere, from 5 to 60 buyers, but for 20\n"),
        ((5, 20), "flips nowhere: only 60 buyers was measured\n"),
    ],
)
def test_where_nothing_flips_names_only_what_was_measured(advice, held, says):
    """A value at which the control held is no end, and a gap is named."""
    _, lines = advice(buyers({"optimistic": [1] * 3, "pessimistic": [20] * 3}, held=held))
    assert says in lines


def test_too_few_rounds_give_no_advice(advice):
    """Of a sweep that was interrupted nothing is said that its rounds do not bear."""
    found, lines = advice(buyers({"optimistic": [10] * 3, "pessimistic": [90] * 3}, rounds=4, complete=False))
    assert not any(each.advised for each in found["stock"].axes[0].choices)
    assert "buyers: not measured: 4 of at least 5 rounds" in lines


def test_a_strategy_that_broke_its_claim_is_never_advised(advice):
    """Not even where it kept it, and not in another file."""
    broken = buyers({"optimistic": [1, 1, 1], "pessimistic": [20] * 3}, broke=[("optimistic", 60)])
    points = buyers({"optimistic": [1, 1, 1], "pessimistic": [20] * 3}, resource="points")
    found, lines = advice(broken, points)
    for resource in ("stock", "points"):
        (axis,) = found[resource].axes
        assert {each.name for each in axis.choices} == {"pessimistic"}
        assert "optimistic" in found[resource].excluded
    assert "never advised: optimistic: broke a rule: conservation at buyers=60" in lines


def test_a_ring_excludes_what_it_saw_violated(advice):
    """A sweep has no faults; a strategy that broke a rule under one is not advised."""
    ring = {
        "schema": "stockade.lab/3",
        "matrix": [{"strategy": "optimistic", "fault": "database-kill", "verdict": "VIOLATED"}],
    }
    found, lines = advice(buyers({"optimistic": [1] * 3, "pessimistic": [20] * 3}), ring)
    assert {each.name for each in found["stock"].axes[0].choices} == {"pessimistic"}
    assert "broke a rule under database-kill" in lines


def test_a_point_without_a_failed_control_is_not_measured(advice):
    """At 5 the control broke nothing, so nothing is advised there."""
    found, lines = advice(buyers({"optimistic": [1] * 3, "pessimistic": [20] * 3}, held=(5,)))
    (axis,) = found["stock"].axes
    assert [each.name for each in axis.choices] == ["", "optimistic", "optimistic"]
    assert "5: not measured: control did not fail" in lines
    nowhere, lines = advice(buyers({"optimistic": [1] * 3}, held=VALUES))
    assert nowhere["stock"].not_measured["buyers"] == "control did not fail"
    assert "buyers: not measured: control did not fail" in lines


def test_what_no_file_has_is_named(advice):
    """Other resources with the command that measures them; other axes with the reason of the sweep."""
    found, lines = advice(
        buyers({"optimistic": [1] * 3}, left_out={"latency": "needs a private server"}, complete=False)
    )
    assert found["stock"].not_measured["latency"] == "needs a private server"
    assert found["stock"].not_measured["keys"] == "no file has it"
    assert "points: not measured; measure it with: stockade lab sweep --resource points" in lines
    assert "payment: not measured; measure it with: stockade lab --preset payment-once" in lines
    assert "unfinished: /0.json" in lines
    assert "no other strategy counts here, so there is no margin" in lines


def test_an_axis_of_one_strategy_leaves_nothing_to_choose(advice):
    """Partitions concern `kafka` alone: that it is the fastest there is no reason to take it."""
    found, lines = advice(made_document("partitions", (1, 6), {"kafka": [10, 20]}))
    assert not found["stock"].axes
    assert found["stock"].not_measured["partitions"] == "only kafka takes part, so there is nothing to choose between"
    assert "decided/s" not in lines


RING = {"schema": "stockade.lab/3", "matrix": [{"strategy": "optimistic", "fault": "", "verdict": "as claimed"}]}


@pytest.mark.parametrize(
    ("documents", "says"),
    [
        ([RING], "0.json: a document of `stockade lab ring` holds no measurements. Measurements are in documents of"),
        ([RING, RING], "1.json: a document of `stockade lab ring` holds no measurements"),
        ([{"schema": "stockade.lab/3", "claims": []}], "a document of `stockade lab claims` holds no measurements"),
        ([{"runs": [run("optimistic", [1.0], fault="crash")]}], "runs under faults, which say what broke"),
        ([{"runs": [run("optimistic", [1.0]) | {"preset": "first-100"}]}], "runs of presets of another application"),
        ([buyers({"optimistic": [1] * 3}, rounds=0)], "a sweep of which no turn was played"),
    ],
)
def test_documents_without_measurements_are_refused(advice, documents, says):
    """The kind of each, where measurements are, and the command that makes one."""
    with pytest.raises(LabError) as caught:
        advice(*documents)
    assert says in str(caught.value)
    assert "make one with: stockade lab sweep --json sweep.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_ring_beside_a_sweep_is_no_error(advice):
    """The control; nor is a burst of another application, which is named."""
    other = {"runs": [run("optimistic", [1.0]) | {"preset": "first-100"}]}
    _, lines = advice(buyers({"optimistic": [1] * 3, "pessimistic": [20] * 3}), RING, other)
    assert "left out: /2.json: first-100: presets of another application" in lines


def test_a_history_is_no_document(tmp_path):
    """One line names what it is, exit code 2."""
    file = tmp_path / "history.jsonl"
    file.write_text("{}\n")
    done = CliRunner().invoke(app, ["lab", "advise", str(file)])
    assert done.exit_code == 2
    assert "history.jsonl: a history of `stockade lab record` holds no measurements. Measurements are in" in done.output


def test_who_is_right_in_one_process_only_says_so(advice):
    """The condition stands beside the advice; so does a server that it needs."""
    _, lines = advice(buyers({"in-process": [1] * 3, "pessimistic": [20] * 3}))
    assert "in-process, 30,000 decided/s" in lines
    assert "only while one process takes orders" in lines
    _, lines = advice(buyers({"redis-pubsub": [1] * 3, "pessimistic": [20] * 3}))
    assert "needs redis" in lines


def test_bursts_are_compared_apart_and_only_beside_a_broken_control(advice):
    """Two runs one after the other: clear only if their intervals are apart; presets tell the resource."""
    control = run("unprotected", [9.0] * 6, verdict="broken", rules=["oversell"])
    runs = [control, run("optimistic", [10.0] * 6), run("pessimistic", [20.0] * 6)]
    alone = [run("optimistic", [10.0] * 6, preset="use"), run("pessimistic", [20.0] * 6, preset="use")]
    found, _ = advice({"schema": "stockade.lab/1", "runs": [*runs, *alone]})
    (stock,), (points,) = found["stock"].bursts, found["points"].bursts
    assert (stock.name, stock.second.contender.name, stock.margin.median) == ("optimistic", "pessimistic", 2)
    assert (points.name, points.why_not) == ("", "control did not fail")
    near = [control, run("optimistic", [9, 10, 11, 12, 13, 21.0]), run("pessimistic", [20.0] * 6)]
    found, _ = advice({"schema": "stockade.lab/1", "runs": near})
    assert found["stock"].bursts[0].second is None


CONTROL = {"verdict": "broken", "rules": ["oversell"]}


def test_bursts_of_other_numbers_are_another_load(advice):
    """A control that failed with 60 buyers says nothing about 5, nor is one fast at 5 faster than another at 60."""
    few, many = {"buyers": 5, "stock": 20}, {"buyers": 60, "stock": 20}
    runs = [
        run("unprotected", [9.0] * 6, **CONTROL, **many),
        run("optimistic", [1.0] * 6, **few),
        run("pessimistic", [20.0] * 6, **many),
        run("optimistic", [40.0] * 6, **many),
        run("unprotected", [9.0] * 6, **CONTROL),
        run("sequencer", [5.0] * 6),
    ]
    found, lines = advice({"schema": "stockade.lab/1", "runs": runs})
    chosen = {each.load.name: (each.name, each.why_not) for each in found["stock"].bursts}
    assert chosen["reference with 60 buyers, 20 in stock"] == ("pessimistic", "")
    assert chosen["reference with 5 buyers, 20 in stock"] == ("", "control did not fail")
    assert chosen["reference"][0] == "sequencer"
    assert "reference with 60 buyers, 20 in stock: pessimistic" in lines


@pytest.mark.parametrize("rule", ["unexpected", "count"])
def test_a_control_of_a_burst_fails_by_what_meeting_orders_break(advice, rule):
    """An unexpected error of `unprotected` does not show that orders met."""
    runs = [run("unprotected", [9.0] * 6, verdict="broken", rules=[rule]), run("optimistic", [1.0] * 6)]
    found, _ = advice({"schema": "stockade.lab/1", "runs": runs})
    assert [(each.name, each.why_not) for each in found["stock"].bursts] == [("", "control did not fail")]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"verdict": "not as promised"}, "was not as promised at reference ("),
        ({"verdict": "broken", "rules": ["unexpected"]}, "broke a rule: unexpected at reference ("),
        (
            {"verdict": "broken", "rules": ["conservation"], "fault": "crash"},
            "broke a rule: conservation at reference under crash (",
        ),
        ({"verdict": "not as promised", "preset": "cart:unsorted"}, ""),  # perhaps only the deadlock did not come
        ({}, ""),
    ],
)
def test_a_strategy_that_was_not_as_promised_anywhere_is_not_advised(advice, more, says):
    """It gave up orders, or had deadlocks, and no rule says so; or one was broken under a fault that it bears."""
    document = {"schema": "stockade.lab/2", "runs": [run("optimistic", [1.0] * 6, **more)]}
    found, lines = advice(document, buyers({"optimistic": [1] * 3, "pessimistic": [9] * 3}))
    chosen = {each.name for each in found["stock"].axes[0].choices}
    assert chosen == ({"pessimistic"} if says else {"optimistic"})
    assert (f"never advised: optimistic: {says}" in lines) == bool(says)


def test_a_claim_that_broke_in_another_application_excludes_too(advice):
    """Its presets hold no measurements of the shop, and say all the same what a strategy did not keep."""
    broke = run("optimistic", [1.0] * 6, verdict="broken", rules=["oversell"], fault="crash") | {"preset": "coupons"}
    document = {"schema": "stockade.lab/2", "runs": [broke]}
    _, lines = advice(document, buyers({"optimistic": [1] * 3, "pessimistic": [9] * 3}))
    assert "never advised: optimistic: broke a rule: oversell at coupons under crash (" in lines


def test_a_strategy_without_that_claim_may_be_advised(advice):
    """Nobody claims that a control is right, nor a lock of one process in two."""
    runs = [
        run("unprotected", [9.0] * 6, **CONTROL),
        run("in-process", [1.0] * 6, **CONTROL, processes=2),
    ]
    found, lines = advice(
        {"schema": "stockade.lab/1", "runs": runs}, buyers({"in-process": [1] * 3, "pessimistic": [9] * 3})
    )
    assert {each.name for each in found["stock"].axes[0].choices} == {"in-process"}
    assert "never advised" not in lines


@pytest.mark.parametrize(
    ("preset", "control", "rule"),
    [
        ("payment-once", "version-no-key", "one-approval"),
        ("payment-slow-gateway", "lock-over-call", "connection-held"),
    ],
)
def test_payments_are_of_the_presets_that_pay(advice, preset, control, rule):
    """A scheme that broke what the preset is about is the control; a scheme is never advised."""
    paid = {"preset": preset, "payments": {}, "rejected": 0}
    runs = [
        run(control, [5.0] * 6, verdict="broken", rules=[rule], **paid),
        run("version-with-key", [5.0] * 6, **paid),
        run("pessimistic", [20.0] * 6, **paid),
        run("sequencer", [10.0] * 6, **paid),
    ]
    found, lines = advice({"schema": "stockade.lab/3", "runs": runs})
    (choice,) = found["payment"].bursts
    assert (choice.name, choice.advised.rate.median) == ("sequencer", 2_000)
    assert f"{preset}: sequencer, 2,000 decided/s" in lines


def test_a_burst_that_was_not_as_promised_excludes_with_its_rule(advice):
    """A strategy that oversold in any preset is not advised in another one."""
    bad = run("optimistic", [1.0] * 6, verdict="broken", rules=["oversell"])
    found, lines = advice(
        {"schema": "stockade.lab/1", "runs": [bad]}, buyers({"optimistic": [1] * 3, "pessimistic": [9] * 3})
    )
    assert {each.name for each in found["stock"].axes[0].choices} == {"pessimistic"}
    assert "never advised: optimistic: broke a rule: oversell at reference" in lines


def test_the_command_writes_a_document_of_the_schema(tmp_path):
    """`stockade lab advise FILE --json OUT`; it says in one line what it cannot read."""
    file, out = tmp_path / "sweep.json", tmp_path / "advice.json"
    file.write_text(json.dumps(buyers({"optimistic": [10, 40, 80], "pessimistic": [20, 20, 20]})))
    done = CliRunner().invoke(app, ["lab", "advise", str(file), "--json", str(out)])
    assert done.exit_code == 0, done.output
    found = json.loads(out.read_text())
    jsonschema_rs.validate(json.loads(SCHEMA), found)
    found["advice"][0]["axes"][0]["choices"][0].pop("why_not")
    with pytest.raises(jsonschema_rs.ValidationError):
        jsonschema_rs.validate(json.loads(SCHEMA), found)
    for text, says in (
        ("{", "no document of the lab"),
        ('{"schema": "stockade.lab/3"}', "is no document of the lab. Measurements are in"),
    ):
        file.write_text(text)
        refused = CliRunner().invoke(app, ["lab", "advise", str(file)])
        assert refused.exit_code == 2
        assert says in refused.output
    missing = CliRunner().invoke(app, ["lab", "advise", str(tmp_path / "absent.json")])
    assert (missing.exit_code, "No such file" in missing.output) == (2, True)
