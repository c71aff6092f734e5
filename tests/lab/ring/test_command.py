"""`stockade lab ring` and `stockade lab soak`: options, lines and documents, with a stand-in for the recordings."""

import asyncio
import json
import re
import shlex

import jsonschema_rs
import pytest
from typer.testing import CliRunner

from stockade.cli import app
from stockade.lab.errors import LabError
from stockade.lab.ring import state_file, usual_parts
from stockade.lab.ring.recording_player import RecordingPlayer
from stockade.lab.ring.soak import MAX_FAILED
from stockade.lab.ring.state_file import StateFile
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
        json_to = [] if words[0] == "record" else ["--json", "out.json"]
        result = CliRunner().invoke(app, ["lab", *words, *json_to])
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
    assert document["environment"]["servers"]
    settings = document["settings"]
    assert (settings["seed"], settings["seconds"], settings["code"]) == (1, 4.0, state_file.code()["code"])
    assert (settings["databases"], settings["workloads"]) == (["sqlite"], ["baskets"])
    assert set(settings["strategies"]) == {"unprotected", "optimistic"}
    assert set(settings["faults"]) <= set(usual_parts.RING_FAULTS)
    _, again, _ = command(right(), *shlex.split(settings["command"])[2:])
    assert again["settings"] == settings
    assert [each["cell"] for each in again["cells"]] == [each["cell"] for each in document["cells"]]
    assert len(re.findall(r"^\[\d+/\d+\] sqlite\.", output, re.MULTILINE)) == len(document["cells"])
    assert re.search(r"^no-fault +caught +ok", output, re.MULTILINE)
    assert "0 against a claim, 0 late, 0 not recorded" in output


def test_a_ring_with_a_violation(command):
    """Exit code 1; below the cell stand the violation, the history, the seed and the command."""
    code, document, output = command(StandIn(lambda cell: True), "ring", *SMALL, "--seed", "7")
    assert code == 1
    assert not document["kept"]
    jsonschema_rs.validate(json.loads(SCHEMA), document)
    assert "no-oversell: 21 of 20" in output
    (again, *_) = re.findall(r"again: stockade lab (ring --cell \S+ --seed 7 --seconds 4)", output)
    player = right()
    assert command(player, *again.split())[0] == 0
    assert player.played == [again.split()[2]]


def test_a_ring_whose_control_is_not_caught(command):
    """Exit code 1, and its name."""
    code, document, output = command(StandIn(), "ring", *SMALL)
    assert code == 1
    assert document["controls_not_caught"] == ["unprotected on sqlite"]
    assert "control not caught: unprotected on sqlite" in output


def test_a_cell_is_played_again_with_the_seed_that_its_result_is_of(command):
    """A control that was missed four times had four seeds: the command below it begins with the last."""
    _, document, output = command(StandIn(), "ring", *SMALL, "--seed", "7")
    (missed, *_) = [each for each in document["cells"] if each["verdict"] == "not caught"]
    (again, *_) = re.findall(rf"again: stockade lab (ring --cell {missed['cell']} .*)", output)
    assert f"--recording-seed {missed['seed']}" in again
    _, document, _ = command(right(), *shlex.split(again))
    assert [(each["cell"], each["seed"]) for each in document["cells"]] == [(missed["cell"], missed["seed"])]


def test_a_round_is_played_again_with_the_seed_that_its_result_is_of(command):
    """A round in which a fault missed is played once more with the next seed: that is the one to repeat."""
    player = StandIn(lambda cell: len(player.played) == 2, inject=False)
    words = ("soak", "--databases", "sqlite", "--faults", "process-kill", "--seed", "5", "--round", "1")
    _, document, output = command(player, *words)
    assert document["cells"][0]["verdict"] == "VIOLATED"
    (again,) = re.findall(r"again: stockade lab (soak .*)", output)
    _, repeated, _ = command(StandIn(lambda cell: True, inject=False), *shlex.split(again))
    assert repeated["cells"][0]["seed"] == document["cells"][0]["seed"]
    (first, *_) = [int(seed) for seed in re.findall(r"before: seed (\d+)", output)]
    assert document["cells"][0]["seed"] == first + 1
    _, _, output = command(StandIn(), "soak", "--recording-seed", "5")
    assert "name one --round" in output


def test_a_history_that_cannot_be_kept_ends_no_ring(command, tmp_path):
    """The reason stands below the cell, and the other cells are played."""
    (tmp_path / "full").write_text("a file where the folder should be")
    code, document, output = command(StandIn(lambda cell: True), "ring", *SMALL, "--histories", "full")
    assert (code, document["complete"]) == (1, True)
    (bad, *_) = [each for each in document["cells"] if each["verdict"] == "VIOLATED"]
    assert (bad["history"], bad["violations"][0]["rule"]) == ("", "no-oversell")
    assert "its history was not kept" in bad["reason"]
    assert "its history was not kept" in output


def test_a_state_that_cannot_be_written_leaves_the_document(command, monkeypatch):
    """Exit code 2 in one line; the document has the cells so far, the one that could not be kept too."""

    def full(self, result):
        raise OSError(28, "No space left on device", "state")

    monkeypatch.setattr(StateFile, "add", full)
    code, document, output = command(right(), "ring", *SMALL, "--state", "state")
    assert code == 2
    assert "error: state: No space left on device" in output
    assert (len(document["cells"]), document["complete"], document["kept"]) == (1, False, False)


def test_the_state_of_another_version_is_refused_in_one_line(command, tmp_path):
    """And stays as it is."""
    text = '{"schema": "stockade.lab.ring-state/2", "seed": 1, "seconds": 6.0}\n'
    (tmp_path / "old").write_text(text)
    code, _, output = command(right(), "ring", *SMALL, "--state", "old")
    assert (code, len(output.splitlines())) == (2, 1)
    assert "was written by another version of stockade" in output
    assert (tmp_path / "old").read_text() == text


def test_a_ring_goes_on(command):
    """With the same state file nothing is played twice; the first line says so."""
    _, first, _ = command(right(), "ring", *SMALL, "--state", "state")
    player = right()
    code, second, output = command(player, "ring", *SMALL, "--state", "state")
    assert (code, player.played) == (0, [])
    assert second["cells"] == first["cells"]
    (count, *_) = {len(first["cells"])}
    assert output.startswith(f"{count} of {count} cells are finished in state; none is played\n")
    code, _, output = command(player, "ring", *SMALL, "--state", "state", "--seed", "2")
    assert code == 2
    assert "belongs to another ring (seed 1, now 2)" in output


def test_a_fault_that_no_cell_has_is_named_before_the_ring_begins(command):
    """One of two is played, so the ring is; where both are, nothing is said."""
    words = ("ring", "--list", "--databases", "sqlite", "--strategies", "optimistic", "--faults")
    _, _, output = command(right(), *words, "process-kill,redis-kill")
    assert "not played: the fault redis-kill (optimistic: optimistic does not use redis)\n" in output
    _, _, output = command(right(), *words, "process-kill,process-pause")
    assert "process-pause" in output
    assert "not played" not in output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("ring", "--cell", "x"), "--list"),
        (("ring", "--cell", "sqlite.advisory.no-fault.baskets"), "runs on postgres"),
        (("ring", "--cell", "sqlite.optimistic.database-kill.baskets"), "SQLite is a file"),
        (
            ("ring", "--cell", "postgres.optimistic.database-kill+session-kill.baskets"),
            "database-kill and session-kill cannot be combined: healing one heals the database of both",
        ),
        (("ring", "--strategies", "optimist"), "unknown strategy 'optimist'"),
        (("ring", "--faults", "fire"), "unknown fault 'fire'"),
        (("ring", "--workloads", "none"), "unknown workload 'none'"),
        (("ring", "--databases", "oracle"), "unknown database 'oracle'"),
        (("ring", "--strategies", "advisory", "--databases", "sqlite"), "has no cell: advisory: runs on postgres"),
        (
            ("ring", "--strategies", "optimistic", "--faults", "redis-kill", "--databases", "sqlite"),
            "has no cell with the fault redis-kill (optimistic: optimistic does not use redis)",
        ),
        (("ring", "--state", "/proc/state"), "/proc/state: "),
        (("ring", "--recording-seed", "3"), "name one --cell, and no --state"),
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
    assert "again: stockade lab soak --round 3 --seed 5 --seconds 60 --databases sqlite" in output
    again = right()
    code, _, _ = command(again, "soak", "--databases", "sqlite", "--round", "3", "--seed", "5")
    assert (code, again.played) == (0, [document["cells"][2]["cell"]])


def test_a_soak_without_a_seed_has_another_each_time(command):
    """Its first line says which."""
    words = ("soak", "--databases", "sqlite", "--round", "1")
    seeds = {command(StandIn(), *words)[2].splitlines()[0] for _ in range(2)}
    assert len(seeds) == 2


def test_a_soak_whose_recordings_fail_ends(command):
    """Exit code 1, with the last reason; the matrix and the document have the rounds."""
    code, document, output = command(StandIn(raises=lambda cell: LabError("no disk")), "soak", "--databases", "sqlite")
    assert code == 1
    assert "could not be recorded; the last: LabError: no disk" in output
    assert "claimed against observed" in output
    assert [each["verdict"] for each in document["cells"]] == ["not recorded"] * MAX_FAILED
    assert not document["complete"]


@pytest.mark.parametrize(
    "words",
    [
        ("ring", "--seconds", "0"),
        ("ring", "--seconds", "1e99"),
        ("ring", "--seconds", "nan"),
        ("soak", "--seconds", "inf"),
        ("soak", "--minutes", "0"),
        ("soak", "--minutes", "nan"),
        ("soak", "--minutes", "-1"),
        ("soak", "--round", "-1"),
        ("ring", "--seed", "-1"),
        ("record", "--rate", "1e99"),
        ("record", "--seconds", "much"),
        ("record", "--seed", str(2**63)),
    ],
)
def test_a_number_out_of_its_bounds_is_refused(command, words):
    """Exit code 2; the line names the option and the bounds, and nothing runs for ever."""
    code, document, output = command(StandIn(), *words)
    assert (code, document) == (2, None)
    assert words[1] in output.splitlines()[-1]
    assert re.search(r"must be a (whole )?number from \S+ to \S+, not", output)


def test_a_ring_that_is_interrupted_says_how_to_go_on(command):
    """SIGTERM ends it: one line with the command, the document of what there is, and the cells are not played again."""
    player = right()
    interrupting = StandIn(
        player.broken, lambda cell: asyncio.CancelledError() if len(interrupting.played) == 2 else None
    )
    code, document, output = command(interrupting, "ring", *SMALL, "--state", "my state")
    assert code == 143
    jsonschema_rs.validate(json.loads(SCHEMA), document)
    assert (len(document["cells"]), document["complete"], document["kept"]) == (1, False, False)
    (again,) = re.findall(r"1 of \d cells kept in my state; go on with: stockade lab (ring .*)", output)
    code, document, _ = command(player, *shlex.split(again))
    assert (code, document["complete"]) == (0, True)
    assert interrupting.played[0] not in player.played


def test_a_soak_that_is_interrupted_has_its_document(command):
    """The rounds so far are written, and the line names the one that was cut off."""
    player = StandIn(raises=lambda cell: asyncio.CancelledError() if len(player.played) == 2 else None)
    code, document, output = command(player, "soak", "--databases", "sqlite", "--seed", "5")
    assert (code, len(document["cells"]), document["complete"]) == (143, 1, False)
    assert "interrupted: 1 round kept in out.json" in output
    assert "stockade lab soak --round 2 --seed 5 --seconds 60 --databases sqlite" in output


def test_a_round_that_is_interrupted_is_played_again_with_its_seed(command):
    """The line repeats the seed of its recording, without which another recording would be played."""
    player = StandIn(raises=lambda cell: asyncio.CancelledError())
    seed = ("--seed", "5", "--round", "2", "--recording-seed", "7")
    code, _, output = command(player, "soak", "--databases", "sqlite", *seed)
    assert code == 143
    again = "stockade lab soak --round 2 --seed 5 --seconds 60 --recording-seed 7 --databases sqlite"
    assert again in " ".join(output.split())


def test_the_list_says_what_is_left_out(command, monkeypatch):
    """On standard error, beside the ids; `--complete` refuses to begin, and a cell that needs it says why it cannot."""
    monkeypatch.setattr(usual_parts, "missing_tools", lambda needs: "no strace: install it" if "fsync" in needs else "")
    _, _, output = command(StandIn(), "ring", *SMALL, "--list")
    assert "left out: fault disk-failing: no strace: install it" in output
    code, _, output = command(StandIn(), "ring", *SMALL, "--complete")
    assert code == 2
    assert "--complete: this machine leaves out " in output
    code, _, output = command(StandIn(), "ring", "--cell", "postgres.optimistic.disk-failing.baskets")
    assert (code, "no strace: install it" in output) == (2, True)


def test_cells_that_are_not_exposed_are_counted_and_fail_a_complete_ring(command, monkeypatch):
    """They are neither kept nor violated: named, in the matrix and in the document; exit code 1 with `--complete`."""
    monkeypatch.setattr(usual_parts, "left_out", lambda parts: [])

    def missing_its_faults():
        return StandIn(lambda cell: cell.contender == "unprotected", hit=lambda cell: ())

    code, document, output = command(missing_its_faults(), "ring", *SMALL, "--faults", "jitter,process-kill")
    jsonschema_rs.validate(json.loads(SCHEMA), document)
    (missed,) = document["not_exposed"]
    assert (code, document["kept"]) == (0, True)
    assert f"not exposed: {missed}" in output
    assert "0 not recorded, 1 not exposed" in output
    assert re.search(r"^process-kill +- +unmet", output, re.MULTILINE)
    code, _, _ = command(missing_its_faults(), "ring", *SMALL, "--faults", "process-kill", "--complete")
    assert code == 1


def test_what_nobody_foresaw_is_one_line(command, monkeypatch):
    """An error of a driver is exit code 2: 1 would be an answer."""

    def fails(*_):
        raise RuntimeError("the server\nfailed")

    monkeypatch.setattr(usual_parts, "usual_parts", fails)
    code, _, output = command(StandIn(), "ring", *SMALL)
    assert (code, output) == (2, "error: RuntimeError: the server failed\n")
