"""One small sweep of real bursts, interrupted and continued; its document; and what it says."""

import asyncio
import json
from pathlib import Path

import jsonschema_rs
import pytest
from typer.testing import CliRunner

from stockade.cli import app
from stockade.lab.ring.state_file import code
from stockade.lab.sweeps.choose import complete_plan
from stockade.lab.sweeps.plan import BURSTS, SweepPlan
from stockade.lab.sweeps.reading import read_sweep
from stockade.lab.sweeps.sweep import Sweep
from stockade.lab.sweeps.sweep_file import SweepFile
from tests.docs.blocks import blocks

POOLS = (2, 3)  # each has an opening of its own
ROUNDS = 2
WORDS = ("--pool", "2,3", "--strategies", "optimistic", "--repeats", str(ROUNDS))
(SCHEMA,) = [block for block in blocks("lab.md", "json") if '"stockade.lab/3"' in block]


class Interrupted(Exception):
    """As by Ctrl-C."""


def interrupted_after(turns, path):
    """Play so many turns of the sweep and interrupt it; the document that is left."""
    plan = complete_plan(SweepPlan((), (), repeats=ROUNDS), {"pool": POOLS}, ["optimistic"])
    sweep = Sweep(plan, SweepFile(Path(path), plan, code()), code())

    def report(progress):
        if progress.done == turns:
            raise Interrupted

    with pytest.raises(Interrupted):
        asyncio.run(sweep.play(report))
    return json.loads(path.read_text())


@pytest.mark.timeout(60)
def test_a_sweep_that_is_interrupted_goes_on_and_is_right(tmp_path):
    """Whole rounds of an opening stay, the others are played, the control fails."""
    path = tmp_path / "sweep.json"
    kept = interrupted_after(3, path)  # of which two are a round of an opening
    assert not kept["sweep"]["complete"]
    done = CliRunner().invoke(app, ["lab", "sweep", *WORDS, "--json", str(path)])
    printed = done.output
    assert done.exit_code == 0, printed
    assert "2 of 8 turns are in" in printed
    assert "2 rounds of 4 turns, 6 turns to play: about " in printed
    assert "optimistic" in printed
    found = json.loads(path.read_text())
    jsonschema_rs.validate(json.loads(SCHEMA), found)
    assert found["sweep"]["complete"]
    assert {"machine", "cpu_model", "memory_gib"} <= set(found["environment"])
    before, after = read_sweep(kept).samples, read_sweep(found).samples
    assert set(before) == {("pool=2", "unprotected"), ("pool=2", "optimistic")}
    assert all(after[key][: len(taken)] == taken for key, taken in before.items())
    assert {len(taken) for taken in after.values()} == {ROUNDS * BURSTS}
    for result in read_sweep(found).results:
        assert result.control_failed
        assert result.without_baseline.times == 0
        if result.contender.name != "unprotected":
            assert not result.violations
            assert result.counts
            assert result.per_order("connection_ms").median > 0
            assert result.per_order("blocked_ms").median > 0
