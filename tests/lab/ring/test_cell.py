"""Cells by their ids, and the file of finished ones."""

import json

import pytest

from stockade.devservers import KINDS, available
from stockade.lab.errors import LabError
from stockade.lab.reporting.installed import lasting
from stockade.lab.ring.cell import Cell, CellResult, Found
from stockade.lab.ring.expectation import HELD, VIOLATED
from stockade.lab.ring.state_file import SCHEMA, StateFile, code

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
    with StateFile(path, SETTINGS) as state:
        state.add(RESULT)
    with StateFile(path, SETTINGS) as state:
        assert state.finished == {CELL.id: RESULT}
    assert StateFile(None, SETTINGS).finished == {}


def test_a_line_that_a_kill_cut_off_is_played_again(tmp_path):
    """The results before it are used, and the file can be added to."""
    path = tmp_path / "state"
    with StateFile(path, SETTINGS) as state:
        state.add(RESULT)
    path.write_text(path.read_text() + '{"cell": "postg')
    with StateFile(path, SETTINGS) as state:
        assert state.finished == {CELL.id: RESULT}
        state.add(RESULT)
    assert len(path.read_text().splitlines()) == 3
    with StateFile(path, SETTINGS) as state:
        assert state.finished == {CELL.id: RESULT}


def test_two_rings_cannot_use_one_file(tmp_path):
    """The second is refused, and the line that the first has not finished stays; afterwards it can."""
    path = tmp_path / "state"
    with StateFile(path, SETTINGS) as first:
        path.write_text(path.read_text() + '{"cell": "postg')
        with pytest.raises(LabError, match="another ring uses it"):
            StateFile(path, SETTINGS)
        assert path.read_text().endswith('{"cell": "postg')
        path.write_text(path.read_text().removesuffix('{"cell": "postg'))
        first.add(RESULT)
    with StateFile(path, SETTINGS) as state:
        assert state.finished == {CELL.id: RESULT}


def test_the_results_of_another_machine_are_refused(tmp_path):
    """Its servers and packages are part of what was played; the message says which of them differ."""
    path = tmp_path / "state"
    StateFile(path, SETTINGS | {"servers": {"redis": "7.0"}}).__exit__(None, None, None)
    with pytest.raises(LabError, match=r"\(servers.redis 7.0, now 7.2\)"):
        StateFile(path, SETTINGS | {"servers": {"redis": "7.2"}})


def test_what_a_ring_is_played_on():
    """Versions of packages and of the servers that can be started, without the date."""
    found = lasting()
    assert found["packages"]["sqlalchemy"].startswith("2.")
    assert found["servers"].keys() == {kind for kind in KINDS if not available()[kind]}
    assert all(any(letter.isdigit() for letter in said) for said in found["servers"].values())
    assert "date" not in found
    assert {"python", "os", "cpu_count", "small_disk"} < found.keys()


def test_the_results_of_other_code_are_refused(tmp_path, monkeypatch):
    """A changed source file is another ring; the same files are the same one."""
    path, package = tmp_path / "state", tmp_path / "stockade"
    package.mkdir()
    (package / "a.py").write_text("A = 1")
    monkeypatch.setattr("stockade.__file__", str(package / "__init__.py"))
    for _ in range(2):
        with StateFile(path, SETTINGS | code()):
            pass
    (package / "a.py").write_text("A = 2")
    with pytest.raises(LabError, match=r"another ring \(code"):
        StateFile(path, SETTINGS | code())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (json.dumps({"schema": SCHEMA, "seed": 2, "seconds": 10.0}) + "\n", "another ring"),
        (json.dumps({"schema": "stockade.lab.ring-state/2", **SETTINGS}) + "\n", "another version of stockade"),
        ("[]\n{", "another ring"),
        ("hello\n", "not the state"),
        (json.dumps({"schema": SCHEMA, **SETTINGS}) + '\n{"cell": 1}\n', "no result"),
    ],
)
def test_the_state_of_another_ring_is_refused(tmp_path, text, said):
    """Another seed, and files of other kinds: one sentence each, and the file stays as it is."""
    path = tmp_path / "state"
    path.write_text(text)
    with pytest.raises(LabError, match=said):
        StateFile(path, SETTINGS)
    assert path.read_text() == text
