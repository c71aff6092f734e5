"""What a report is made of: documents of the lab and histories are read, anything else is one clear line."""

import json

import pytest

from stockade.lab.errors import LabError
from stockade.lab.history.history_file import write_history
from stockade.lab.report.documents import MOST_FILES, read_source, read_sources
from stockade.lab.report.provenance.table import table
from tests.lab.checkers.small_histories import small
from tests.lab.report.documents import claims_document, deadlock, lab_document, ring, run, source, sweep


@pytest.mark.parametrize("values", [lab_document(), ring(), deadlock(), claims_document(), sweep()])
def test_every_kind_of_document_is_read(tmp_path, values):
    """Members that the report does not show are passed over: later versions may have more."""
    found = source(tmp_path, values | {"further": {"member": 1}})
    assert found.document.environment.cpu_count == 2
    assert found.history is None


def test_what_the_lab_writes_is_read(lab, tmp_path):
    """A document of a real run."""
    code, _, _ = lab("--repeats", "2", "--strategies", "unprotected,sequencer")
    assert code == 0
    found = read_source(str(tmp_path / "lab.json")).document
    assert [each.strategy for each in found.runs] == ["unprotected", "sequencer"]
    assert len(found.runs[0].wall_ms.samples) == 2


def test_a_history_is_read(tmp_path):
    """A file of JSON lines is a recording."""
    write_history(small(), tmp_path / "small.jsonl")
    assert read_source(str(tmp_path / "small.jsonl")).history.workload == "small"


def test_the_commit_stands_behind_the_name(tmp_path):
    """`FILE@COMMIT`; a file whose own name has an @ is that file."""
    for name in ("lab.json", "a@b.json"):
        (tmp_path / name).write_text(json.dumps(lab_document(run())))
    assert read_source(f"{tmp_path}/lab.json@0123abc").commit == "0123abc"
    assert read_source(f"{tmp_path}/a@b.json").commit == ""


def measured_at(version):
    """A document of this version of stockade."""
    found = lab_document(run())
    return found | {"environment": found["environment"] | {"stockade": version}}


def test_the_commit_that_the_file_names(tmp_path):
    """It is shown, with changes; what somebody typed is marked, and refused if the file says otherwise."""

    def shown(version, name=""):
        (tmp_path / "lab.json").write_text(json.dumps(measured_at(version)))
        (row,) = table([read_source(f"{tmp_path}/lab.json{name}")]).rows
        assert row[4].startswith("stockade 0.1.0, ")
        return row[5]

    assert shown("0.1.0+g0123abcdef") == shown("0.1.0+g0123abcdef", "@0123abc") == "0123abcdef"
    assert shown("0.1.0+g0123abcdef.dirty") == "0123abcdef, with changes that are in no commit"
    assert shown("0.1.0") == "not recorded"
    assert shown("0.1.0", "@0123abc") == "0123abc (as named with the file)"
    with pytest.raises(LabError, match=r"lab\.json@fff0000: the file says that commit 0123abcdef measured"):
        shown("0.1.0+g0123abcdef", "@fff0000")


def without(member):
    """A run that lacks a member."""
    found = run()
    del found[member]
    return lab_document(found)


REFUSED = {
    "no JSON": ("runs", "is no JSON document"),
    "a list": ([], "names no schema"),
    "no schema": ({"runs": []}, "names no schema"),
    "an old version": (lab_document(schema="stockade.lab/0"), "is 'stockade.lab/0', this version reads"),
    "a later version": (lab_document(schema="stockade.lab/9"), "is 'stockade.lab/9', this version reads"),
    "another program": (lab_document(schema=["x"] * 900), "this version reads"),
    "a missing member": (without("strategy"), "missing required field `strategy` - at `$.runs[0]`"),
    "another type": (lab_document(run(accepted="20")), "at `$.runs[0].accepted`"),
    "a negative count": (lab_document(run(failed=-1)), "at `$.runs[0].failed`"),
    "no sample": (lab_document(run(wall_ms={"median": 1, "low": 1, "high": 1, "samples": []})), "length >= 1"),
    "nothing to show": (
        {"schema": "stockade.lab/3", "environment": lab_document()["environment"]},
        "nothing to report",
    ),
}


@pytest.mark.parametrize(("content", "says"), REFUSED.values(), ids=REFUSED)
def test_anything_else_is_one_clear_line(tmp_path, content, says):
    """With the name of the file, and what is wrong where."""
    file = tmp_path / "bad.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(LabError) as found:
        read_source(str(file))
    assert str(found.value).startswith(f"{file}: ")
    assert says in str(found.value)
    assert len(str(found.value)) < 400
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("number", ["1e999", "NaN", "-Infinity"])
def test_a_number_that_is_none_is_refused(tmp_path, number):
    """It cannot be drawn."""
    file = tmp_path / "bad.json"
    file.write_text(json.dumps(lab_document(run(attempts_per_order=123456.5))).replace("123456.5", number))
    with pytest.raises(LabError, match=r"bad\.json"):
        read_source(str(file))


def test_files_that_are_not_there(tmp_path):
    """A missing file, a folder, none at all, too many."""
    cases = (
        ([f"{tmp_path}/none.json"], "there is no such file"),
        ([f"{tmp_path}/none.json@0123abc"], "there is no such file"),
        ([str(tmp_path)], "is no file"),
        ([], "name a document"),
        (["x"] * (MOST_FILES + 1), "at most"),
    )
    for names, says in cases:
        with pytest.raises(LabError, match=says):
            read_sources(names)
