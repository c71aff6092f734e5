"""Documents of version 3 fit the schema that docs/lab.md gives, and the schema is one that can fail."""

import copy
import json
import re
from dataclasses import replace

import jsonschema_rs
import pytest
from typer.testing import CliRunner

from stockade.cli import app
from stockade.core import Stats
from stockade.lab.claims import CLAIMS
from stockade.lab.claims.claim import Answer, Measured
from stockade.lab.deadlock.wait_graph import Wait, WaitGraph
from stockade.lab.history.history_file import write_history
from stockade.lab.reporting.document import document as burst_document
from stockade.lab.reporting.environment import describe_machine
from stockade.lab.reporting.summary import PaymentSummary
from stockade.lab.ring.cell import Cell, CellResult, Found
from stockade.lab.ring.document import document as ring_document
from stockade.lab.ring.expectation import EXPECTATIONS, WORST_FIRST
from stockade.lab.ring.matrix import matrix_of
from tests.lab.checkers.good_histories import good
from tests.lab.checkers.small_histories import small
from tests.lab.test_document import PAGE
from tests.lab.test_summary import GOOD, LABELS, repeat, summarise

SCHEMA = json.loads(re.search(r"### Version 3.*?```json\n(.*?)```", PAGE, re.DOTALL).group(1))


@pytest.fixture
def judged(tmp_path):
    """What `judge` writes about a right and a wrong history."""
    write_history(good(1, environment=describe_machine()), tmp_path / "right")
    write_history(small(requests=()), tmp_path / "wrong")
    target = tmp_path / "document"
    CliRunner().invoke(app, ["lab", "judge", str(tmp_path / "right"), str(tmp_path / "wrong"), "--json", str(target)])
    return json.loads(target.read_text())


def ring():
    """What a ring writes."""
    cell = Cell("sqlite", "unprotected", (), "order-stream")
    results = [CellResult(cell, 1, EXPECTATIONS[1], WORST_FIRST[3], (Found("version-chain", "…"),), {"ok": 3}, 1.5)]
    return ring_document(describe_machine(), {"seed": 1}, results, matrix_of(results, ["unprotected"], [], ()))


def test_what_judge_writes_fits(judged):
    """Every violation is there, with its place."""
    jsonschema_rs.validate(SCHEMA, judged)
    assert [bool(each["violations"]) for each in judged["history"]] == [False, True]


def test_what_the_ring_writes_fits():
    """Cells and matrix."""
    jsonschema_rs.validate(SCHEMA, ring())


def test_what_paying_runs_write_fits():
    """The version that runs with payments had already."""
    figures = PaymentSummary(1.0, 1, 0, 0, 0, 0.5, 120.0)
    summary = summarise(LABELS, [repeat()], Stats(), GOOD)
    jsonschema_rs.validate(SCHEMA, burst_document(describe_machine(), [replace(summary, payments=figures), summary]))


def test_what_the_deadlock_bench_writes_fits(tmp_path):
    """The experiments on SQLite, and a graph as a database with row locks gives it."""
    target = tmp_path / "document"
    CliRunner().invoke(app, ["lab", "deadlock", "--database", "sqlite", "--json", str(target)])
    found = json.loads(target.read_text())
    assert found["deadlock"]["experiments"]
    graph = WaitGraph("pg_locks", (Wait(1, 2, "row"), Wait(2, 1, "row")), {1: "A", 2: "B"})
    found["deadlock"]["graphs"]["two rows"] = graph.as_json()
    jsonschema_rs.validate(SCHEMA, found)


def test_what_the_claims_write_fits():
    """A claim that was measured, and one that was left out."""
    measured = Measured(("12 of 20",), "false", "nothing holds it", True, {"wait_ms": 3.5})
    answers = [Answer(CLAIMS[0], "sqlite", measured, "", 1.5), Answer(CLAIMS[0], "sqlite", None, "no Redis")]
    found = {"claims": [each.as_json() for each in answers], "runs": [], "environment": describe_machine()}
    jsonschema_rs.validate(SCHEMA, {"schema": "stockade.lab/3", **found})


@pytest.mark.parametrize("part", ["history", "cells"])
@pytest.mark.parametrize("change", [{"more": 1}, {"violations": ["text"]}, {"seed": "one"}])
def test_the_schema_refuses_another_document(judged, part, change):
    """A member too many, or one of another type."""
    found = copy.deepcopy(judged if part == "history" else ring())
    found[part][0].update(change)
    with pytest.raises(jsonschema_rs.ValidationError):
        jsonschema_rs.validate(SCHEMA, found)


def test_a_document_without_a_part_is_none():
    """Environment alone says nothing."""
    with pytest.raises(jsonschema_rs.ValidationError):
        jsonschema_rs.validate(SCHEMA, {"schema": "stockade.lab/3", "environment": describe_machine()})
