"""A seed replays its run exactly, also in another process."""

import subprocess
import sys
from dataclasses import replace

from stockade.lab.simulation.schedule import schedule
from stockade.lab.simulation.settings import Settings
from stockade.lab.simulation.simulation import play
from tests.docs.site import ROOT

EVERYTHING = ("optimistic", "sequencer", "redis-pubsub:fence", "redlock", "kafka")
SCRIPT = """
import logging, sys
from tests.lab.simulation.test_replay import schedules
logging.disable(logging.CRITICAL)
print(schedules())
"""


def schedules():
    """The schedules and final states of some runs, as one text."""
    played = [play(seed, Settings.named(name, "everything")) for name in EVERYTHING for seed in (3, 4)]
    return "\n".join(f"{schedule(each.history)}\n{each.steps} {each.history.final.ledger}" for each in played)


def test_a_seed_replays_its_run():
    """Twice here, and once in a process whose sets have another order."""
    first = schedules()
    assert first == schedules()
    surroundings = {"PYTHONHASHSEED": "77", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", SCRIPT]
    elsewhere = subprocess.run(command, env=surroundings, capture_output=True, text=True, check=False)
    assert elsewhere.stdout.strip() == first, elsewhere.stderr


def test_another_seed_is_another_run():
    """The control: the schedule depends on the seed."""
    one, other = (play(seed, Settings.named("optimistic")).history for seed in (3, 4))
    assert schedule(replace(one, seed=0)) != schedule(replace(other, seed=0))
