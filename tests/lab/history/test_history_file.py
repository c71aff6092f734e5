"""A history is kept as a file and read again; what is no whole history is refused in one line."""

import json
from dataclasses import replace

import pytest

from stockade.lab.errors import LabError
from stockade.lab.history.history_file import COLUMNS, read_header, read_history, write_history
from stockade.lab.history.operation import FaultEvent
from tests.lab.checkers.good_histories import good
from tests.lab.checkers.small_histories import access


@pytest.fixture
def whole():
    """A history with something of each kind."""
    history = good(3, log_partitions=2, settings={"seconds": 3}, environment={"python": "3.11"}, faults=("pause",))
    log = (FaultEvent(1, "pause", "inject", "service 1"), FaultEvent(2, "pause", "heal"))
    return replace(history, fault_log=log, accesses=(access(1, 2, 3),))


@pytest.fixture
def file(tmp_path, whole):
    """The same as a file."""
    path = tmp_path / "history.jsonl"
    write_history(whole, path)
    return path


def test_what_was_written_is_read(file, whole):
    """Nothing is lost and nothing is added, and no unfinished file stays."""
    assert read_history(file) == whole
    assert [each.name for each in file.parent.iterdir()] == [file.name]


def test_the_header_is_read_alone(file, whole):
    """What a recording was can be listed without its operations."""
    found = read_header(file)
    assert (found.workload, found.seed, found.faults) == (whole.workload, whole.seed, ("pause",))
    assert found.settings == whole.settings
    assert not found.operations


def test_every_cut_is_noticed(file):
    """A file that was cut off anywhere is refused, with the line."""
    data = file.read_bytes()
    for size in range(0, len(data) - 1, 211):
        file.write_bytes(data[:size])
        with pytest.raises(LabError, match=r"cut off|is no history") as error:
            read_history(file)
        assert "\n" not in str(error.value)


LINES = {
    "nothing": (b"", "is no history"),
    "another document": (b'{"schema": "stockade.lab/3", "runs": []}\n', "is no history"),
    "no JSON": (b"\x89PNG\r\n", "is no history"),
    "a list": (b"[1, 2]\n", "is no history"),
}


@pytest.mark.parametrize("what", LINES)
def test_a_foreign_file_is_refused(tmp_path, what):
    """What is no history says so in one line."""
    data, expected = LINES[what]
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(LabError, match=expected):
        read_history(path)


def changed(file, old, new):
    """The file with a text replaced, once."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    return file


def test_another_version_is_refused(file):
    """A file of a version with other columns is not read as if it were of this one."""
    with pytest.raises(LabError, match="another version"):
        read_history(changed(file, '"invoke_ns",', '"invoked_ns",'))


def test_a_changed_line_is_named(file):
    """The message names the line, and what is wrong with it."""
    with pytest.raises(LabError, match=r"line 3: .*int"):
        read_history(changed(file, '["operation",[1,', '["operation",["one",'))
    with pytest.raises(LabError, match=r"line 3: .*unknown kind"):
        read_history(changed(file, '["operation",["one",', '["operational",["one",'))


@pytest.mark.parametrize(("kind", "field"), [(kind, field) for kind, fields in COLUMNS.items() for field in fields])
def test_a_missing_field_is_named(file, kind, field):
    """A line without one of its fields is refused, also the last one: with the file, the line, and what is missing."""
    lines = file.read_text().splitlines()
    at = next(at for at, line in enumerate(lines) if line.startswith(f'["{kind}",'))
    _, values = json.loads(lines[at])
    values.pop(COLUMNS[kind].index(field))
    lines[at] = json.dumps([kind, values], separators=(",", ":"))
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(LabError) as error:
        read_history(file)
    said, whole = str(error.value), len(COLUMNS[kind])
    assert said.startswith(f"{file}, line {at + 1}: this {kind} has {whole - 1} of {whole} fields: ")
    missing = said.partition(" fields: ")[2].partition(" is missing; record it again")[0].split(" or ")
    assert field in missing
    assert field != COLUMNS[kind][-1] or len(missing) == 1 or kind != "operation"


def test_a_missing_line_is_noticed(file):
    """Lines that were taken out are missed at the end."""
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:2] + lines[3:]))
    with pytest.raises(LabError, match="its end names"):
        read_history(file)
    file.write_text("".join([*lines, lines[1]]))
    with pytest.raises(LabError, match="more after its end"):
        read_history(file)


def test_the_columns_are_those_of_the_page():
    """docs/lab.md names every kind of line and each of its columns."""
    from tests.lab.test_document import PAGE

    assert not [kind for kind in COLUMNS if f"`{kind}`" not in PAGE]
