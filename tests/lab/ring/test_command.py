"""`stockade lab ring` and `stockade lab soak`: options, lines and documents, with a stand-in for the recordings."""

import json
import re

import jsonschema_rs
import pytest
from typer.testing import CliRunner

from stockade.cli import app
from stockade.lab.errors import LabError
from stockade.lab.ring.recording_player import RecordingPlayer
from tests.docs.blocks import blocks
from tests.lab.ring.parts import StandIn

SMALL = ("--databases", "sqlite", "--strategies", "unprotected,optimistic", "--workloads", "baskets")
(SCHEMA,) = [block for block in blocks("lab.md", "json") if '"stockade.lab/3"' in block]


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Function: a stand-in, and words after `stockade lab` -> exit code, document, everything printed."""
    monkeypatch.chdir(tmp_path)

    def run(player, *words):
        async def play(self, cell, seed):
            return await player(cell, seed)

        monkeypatch.setattr(RecordingPlayer, "__call__", play)
        result = CliRunner().invoke(app, ["lab", *words, "--json", "out.json"])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        file = tmp_path / "out.json"
        return result.exit_code, json.loads(file.read_text()) if file.exists() else None, result.output

    return run


def right():
    """A stand-in with which every claim is kept and every control is caught."""
    return StandIn(lambda cell: cell.contender == "unprotected")


def test_a_ring_that_is_right(command):
    """Exit code 0, a line for each cell, the matrix, and a document as the page describes it."""
    code, document, output = command(right(), "ring", *SMALL)
    assert code == 0, output
    jsonschema_rs.validate(json.loads(SCHEMA), document)
    assert document["kept"]
    assert {each["verdict"] for each in document["cells"]} == {"as claimed", "violated as claimed"}
    assert document["settings"] == {"seed": 1, "seconds": 6.0}
    assert len(re.findall(r"^\[\d+/\d+\] sqlite\.", output, re.MULTILINE)) == len(document["cells"])
    assert re.search(r"^no-fault +caught +ok", output, re.MULTILINE)
    assert "0 against a claim, 0 not recorded" in output


def test_a_ring_with_a_violation(command):
    """Exit code 1; below the cell stand the violation, the history, the seed and the command."""
    code, document, output = command(StandIn(lambda cell: True), "ring", *SMALL, "--seed", "7")
    assert code == 1
    assert not document["kept"]
    jsonschema_rs.validate(json.loads(SCHEMA), document)
    assert "no-oversell: 21 of 20" in output
    (again, *_) = re.findall(r"again: stockade lab (ring --cell \S+ --seed 7 --seconds 6)", output)
    player = right()
    assert command(player, *again.split())[0] == 0
    assert player.played == [again.split()[2]]


def test_a_ring_whose_control_is_not_caught(command):
    """Exit code 1, and its name."""
    code, document, output = command(StandIn(), "ring", *SMALL)
    assert code == 1
    assert document["controls_not_caught"] == ["unprotected"]
    assert "control not caught: unprotected" in output


def test_a_ring_goes_on(command):
    """With the same state file nothing is played twice; the first line says so."""
    _, first, _ = command(right(), "ring", *SMALL, "--state", "state")
    player = right()
    code, second, output = command(player, "ring", *SMALL, "--state", "state")
    assert (code, player.played) == (0, [])
    assert second["cells"] == first["cells"]
    assert output.startswith(f"{len(first['cells'])} of {len(first['cells'])} cells are finished in state")
    code, _, output = command(player, "ring", *SMALL, "--state", "state", "--seed", "2")
    assert code == 2
    assert "belongs to another ring (seed 1)" in output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("ring", "--cell", "x"), "--list"),
        (("ring", "--cell", "sqlite.advisory.no-fault.baskets"), "runs on postgres"),
        (("ring", "--cell", "sqlite.optimistic.database-kill.baskets"), "SQLite is a file"),
        (("ring", "--strategies", "optimist"), "unknown strategy 'optimist'"),
        (("ring", "--faults", "fire"), "unknown fault 'fire'"),
        (("ring", "--workloads", "none"), "unknown workload 'none'"),
        (("ring", "--databases", "oracle"), "unknown database 'oracle'"),
        (("ring", "--seconds", "0"), "--seconds must be more than 0"),
        (("soak", "--minutes", "-1"), "--minutes"),
        (("soak", "--strategies", "unprotected"), "nothing to soak"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(command, words, said):
    """Exit code 2, and what to do."""
    code, document, output = command(StandIn(), *words)
    assert (code, document) == (2, None)
    assert said in output
    assert output.startswith("error: ") or "seed" in output.splitlines()[0]


def test_a_soak_prints_its_seed_and_a_line_for_each_round(command):
    """It stops at a violation, and the round is played again by its number."""
    player = StandIn(lambda cell: len(player.played) == 3)
    code, document, output = command(player, "soak", "--databases", "sqlite", "--minutes", "1", "--seed", "5")
    assert code == 1
    jsonschema_rs.validate(json.loads(SCHEMA), document)
    assert output.startswith("seed 5\nround 1: sqlite.")
    assert len(document["cells"]) == 3
    assert "again: stockade lab soak --round 3 --seed 5 --seconds 60" in output
    again = right()
    code, _, _ = command(again, "soak", "--databases", "sqlite", "--round", "3", "--seed", "5")
    assert (code, again.played) == (0, [document["cells"][2]["cell"]])


def test_a_soak_without_a_seed_has_another_each_time(command):
    """Its first line says which."""
    words = ("soak", "--databases", "sqlite", "--minutes", "0")
    seeds = {command(StandIn(), *words)[2].splitlines()[0] for _ in range(2)}
    assert len(seeds) == 2


def test_a_soak_whose_recordings_fail_ends(command):
    """Exit code 2, with the last reason."""
    code, _, output = command(StandIn(raises=lambda cell: LabError("no disk")), "soak", "--databases", "sqlite")
    assert code == 2
    assert "could not be recorded; the last: LabError: no disk" in output
