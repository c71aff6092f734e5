"""Cells by their ids, and the file of finished ones."""

import json

import pytest

from stockade.lab.errors import LabError
from stockade.lab.ring.cell import Cell, CellResult, Found
from stockade.lab.ring.expectation import HELD, VIOLATED
from stockade.lab.ring.state_file import StateFile, code

CELL = Cell("postgres", "redis-pubsub:bare", ("pause", "latency"), "order-stream")
RESULT = CellResult(CELL, 7, HELD, VIOLATED, (Found("oversold", "21 of 20"),), {"ok": 3}, 1.5, "a.jsonl", "")
SETTINGS = {"seed": 1, "seconds": 10.0}


def test_an_id_reads_as_its_cell():
    """The id says database, strategy, faults and workload, and is read again."""
    assert CELL.id == "postgres.redis-pubsub:bare.pause+latency.order-stream"
    for cell in (CELL, Cell("sqlite", "optimistic", (), "hot")):
        assert Cell.parse(cell.id) == cell


@pytest.mark.parametrize("text", ["", "postgres", "a.b.c", "a.b.c.d.e", "a..c.d"])
def test_what_is_no_id_is_refused_with_where_to_find_one(text):
    """The message names the form, and the option that lists the ids."""
    with pytest.raises(LabError, match="--list"):
        Cell.parse(text)


def test_the_seed_of_a_cell_is_its_own_and_repeats():
    """Each cell has another seed; the same ring gives the same ones."""
    other = Cell("sqlite", "optimistic", (), "hot")
    assert CELL.seed(1) == CELL.seed(1)
    assert len({CELL.seed(1), CELL.seed(2), other.seed(1)}) == 3


def test_finished_cells_are_there_again(tmp_path):
    """A second ring of the same settings finds what the first one has finished."""
    path = tmp_path / "state"
    StateFile(path, SETTINGS).add(RESULT)
    assert StateFile(path, SETTINGS).finished == {CELL.id: RESULT}
    assert StateFile(None, SETTINGS).finished == {}


def test_a_line_that_a_kill_cut_off_is_played_again(tmp_path):
    """The results before it are used, and the file can be added to."""
    path = tmp_path / "state"
    StateFile(path, SETTINGS).add(RESULT)
    path.write_text(path.read_text() + '{"cell": "postg')
    state = StateFile(path, SETTINGS)
    assert state.finished == {CELL.id: RESULT}
    state.add(RESULT)
    assert len(path.read_text().splitlines()) == 3
    assert StateFile(path, SETTINGS).finished == {CELL.id: RESULT}


def test_the_results_of_other_code_are_refused(tmp_path, monkeypatch):
    """A changed source file is another ring; the same files are the same one."""
    path, package = tmp_path / "state", tmp_path / "stockade"
    package.mkdir()
    (package / "a.py").write_text("A = 1")
    monkeypatch.setattr("stockade.__file__", str(package / "__init__.py"))
    StateFile(path, SETTINGS | code())
    StateFile(path, SETTINGS | code())
    (package / "a.py").write_text("A = 2")
    with pytest.raises(LabError, match=r"another ring \(code"):
        StateFile(path, SETTINGS | code())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (json.dumps({"schema": "stockade.lab.ring-state/2", "seed": 2, "seconds": 10.0}) + "\n", "another ring"),
        ("[]\n{", "another ring"),
        ("hello\n", "not the state"),
        (json.dumps({"schema": "stockade.lab.ring-state/2", **SETTINGS}) + '\n{"cell": 1}\n', "no result"),
    ],
)
def test_the_state_of_another_ring_is_refused(tmp_path, text, said):
    """Another seed, and files of other kinds: one sentence each, and the file stays as it is."""
    path = tmp_path / "state"
    path.write_text(text)
    with pytest.raises(LabError, match=said):
        StateFile(path, SETTINGS)
    assert path.read_text() == text
