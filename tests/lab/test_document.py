"""The JSON document is the one that docs/lab.md describes."""

import json
import re
import statistics
from dataclasses import replace
from pathlib import Path

import jsonschema_rs
import pytest

from stockade.core import Stats
from stockade.lab.aimed_faults import faults
from stockade.lab.presets import find
from stockade.lab.reporting.document import SCHEMA, SCHEMA_OF_FAULTS, SCHEMA_OF_PAYMENTS, document
from stockade.lab.reporting.summary import PaymentSummary
from tests.lab.test_summary import GOOD, LABELS, repeat, summarise

PAGE = (Path(__file__).parents[2] / "docs" / "lab.md").read_text(encoding="utf-8")


@pytest.fixture
def schema():
    """The JSON schema that the page gives."""
    return json.loads(re.search(r"```json\n(.*?)```", PAGE, re.DOTALL).group(1))


def test_a_real_run_fits_the_documented_schema(lab, schema):
    """What the lab writes is valid, consistent in itself, and holds every sample."""
    code, found, _ = lab("--repeats", "3", "--strategies", "unprotected,sequencer")
    assert code == 0
    jsonschema_rs.validate(schema, found)
    for run in found["runs"]:
        assert run["accepted"] + run["rejected"] + run["failed"] == run["buyers"]
        wall = run["wall_ms"]
        assert len(wall["samples"]) == 3
        assert wall["median"] == pytest.approx(statistics.median(wall["samples"]))
        assert (wall["low"], wall["high"]) == (min(wall["samples"]), max(wall["samples"]))
        assert run["latency_ms"]["p50"] <= run["latency_ms"]["p95"] <= run["latency_ms"]["p99"]
    assert found["runs"][0]["violations"]


@pytest.mark.parametrize("change", [{"more": 1}, {"verdict": "fine"}, {"accepted": -1}, {"violations": ["text"]}])
def test_the_schema_refuses_another_document(schema, change):
    """A member too many, an unknown verdict, a negative count: the schema is one that can fail."""
    environment = dict.fromkeys(schema["properties"]["environment"]["required"], "x") | {"cpu_count": 2}
    found = document(environment, [summarise(LABELS, [repeat()], Stats(), GOOD)])
    jsonschema_rs.validate(schema, found)
    found["runs"][0].update(change)
    with pytest.raises(jsonschema_rs.ValidationError):
        jsonschema_rs.validate(schema, found)


def test_runs_under_faults_are_version_2(schema):
    """Version 1 never has more members than its page says: runs under faults are another version, with one more."""
    environment = dict.fromkeys(schema["properties"]["environment"]["required"], "x") | {"cpu_count": 2}
    found = document(environment, [summarise(replace(LABELS, fault="pause"), [repeat()], Stats(), GOOD)])
    assert found["schema"] == SCHEMA_OF_FAULTS == "stockade.lab/2"
    assert found["runs"][0]["fault"] == "pause"
    with pytest.raises(jsonschema_rs.ValidationError):
        jsonschema_rs.validate(schema, found)
    run = schema["properties"]["runs"]["items"]
    run["required"].append("fault")
    run["properties"]["fault"] = {"type": "string"}
    schema["properties"]["schema"] = {"const": SCHEMA_OF_FAULTS}
    jsonschema_rs.validate(schema, found)


def test_runs_that_pay_are_version_3(schema):
    """Version 3 is version 2, and what the gateway counted; the page has its members."""
    environment = dict.fromkeys(schema["properties"]["environment"]["required"], "x") | {"cpu_count": 2}
    figures = PaymentSummary(1.0, 1, 0, 0, 0, 0.5, 120.0)
    summary = summarise(LABELS, [repeat()], Stats(), GOOD)
    found = document(environment, [replace(summary, payments=figures), summary])
    assert found["schema"] == SCHEMA_OF_PAYMENTS == "stockade.lab/3"
    assert [run["fault"] for run in found["runs"]] == ["", ""]
    assert "payments" not in found["runs"][1]
    assert not [name for name in found["runs"][0]["payments"] if f'"{name}"' not in PAGE]


def test_json_to_standard_output_is_nothing_but_json(capfd):
    """`--json -` can be piped: the table goes to standard error."""
    from stockade.cli import app

    with pytest.raises(SystemExit) as left:
        app(["lab", "--json", "-", "--strategies", "sequencer", "--repeats", "1"])
    out, err = capfd.readouterr()
    assert left.value.code == 0
    assert json.loads(out)["schema"] == SCHEMA
    assert "sequencer" in err


def test_the_page_names_every_preset_and_fault():
    """What the page does not explain does not exist for its users."""
    assert not [name for name in (*dict(find("all")), *faults()) if f"`{name}`" not in PAGE]
