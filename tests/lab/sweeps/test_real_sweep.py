"""One small sweep of real bursts, killed in the middle and continued; its document; and what it says."""

import json
import os
import signal
import subprocess
import sys

import jsonschema_rs
import pytest
from typer.testing import CliRunner

from stockade.cli import app
from stockade.lab.sweeps.playing.turn import BURSTS
from stockade.lab.sweeps.reading import read_sweep
from tests.docs.blocks import blocks
from tests.waiting import eventually

WORDS = ("--buyers", "2,12", "--strategies", "sequencer,optimistic", "--repeats", "3")
(SCHEMA,) = [block for block in blocks("lab.md", "json") if '"stockade.lab/3"' in block]


def start(path):
    command = [sys.executable, "-m", "stockade", "lab", "sweep", *WORDS, "--json", str(path)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


@pytest.mark.timeout(90)
def test_a_sweep_that_is_killed_goes_on_and_is_right(tmp_path):
    """After SIGKILL the file is a whole document; its samples stay, the others are played, the control fails."""
    path = tmp_path / "sweep.json"
    first = start(path)
    try:
        eventually(path.exists, 40)
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()
    kept = json.loads(path.read_text())
    assert not kept["sweep"]["complete"]
    second = CliRunner().invoke(app, ["lab", "sweep", *WORDS, "--json", str(path)])
    printed = second.output
    assert second.exit_code == 0, printed
    assert "of 18 turns are in" in printed
    found = json.loads(path.read_text())
    jsonschema_rs.validate(json.loads(SCHEMA), found)
    assert found["sweep"]["complete"]
    before, after = read_sweep(kept).samples, read_sweep(found).samples
    assert before
    assert all(after[key][: len(taken)] == taken for key, taken in before.items())
    assert {len(taken) for taken in after.values()} == {3 * BURSTS}
    for result in read_sweep(found).results:
        if result.contender.name == "unprotected":
            assert result.control_failed or result.point.value == 2  # two buyers may miss each other
        else:
            assert not result.violations
            assert result.counts == result.control_failed
            assert result.per_order("connection_ms").median > 0
    assert "sequencer" in printed
