"""A client gives up at each statement and call while its request runs, under every strategy."""

from dataclasses import replace

import pytest

from stockade.lab.checkers import judge
from stockade.lab.simulation.database.connection import SimulatedBackend
from stockade.lab.simulation.database.server import DatabaseFaults
from stockade.lab.simulation.settings import Faults, Settings
from stockade.lab.simulation.simulation import play
from tests.lab.simulation.test_strategies import GUARDED

MOST_STEPS = 150  # no request lasts for so many
SEED = 3


def gives_up(contender, step):
    """The history of a run whose first client gives up at this step after it has sent its request."""
    processes = 1 if contender.guarantees.processes == "one" else 2
    settings = Settings(contender.name, faults=Faults(cancel_step=step), processes=processes, operations=1)
    return play(SEED, settings).history


def is_cancelled(history):
    """Whether the first client gave up."""
    return any(each.code == "CANCELLED" and each.client == 0 for each in history.operations)


@pytest.mark.parametrize("contender", GUARDED, ids=lambda contender: contender.name)
def test_cancellation_at_every_step(contender):
    """From the first step to the last one: nothing stays behind, and no rule is broken."""
    assert not is_cancelled(gives_up(contender, -1))
    for step in range(MOST_STEPS):
        history = gives_up(contender, step)
        assert not judge(history), step
        if not is_cancelled(history):
            break
    assert 0 < step < MOST_STEPS - 1


GIVEN_UP = Faults(cancel=0.5, database=DatabaseFaults(slow=0.2))  # a COMMIT may stand in a slow link
SEEDS = 50


def broken_seeds(contender):
    """The seeds of which a rule is broken, in one process, on rows that the locks cover."""
    settings = replace(Settings.named(contender, processes=1), faults=GIVEN_UP, later_steps=0.0)
    return [seed for seed in range(SEEDS) if judge(play(seed, settings).history)]


HELD_BY_LOCKS = ("in-process", "redis-spin:bare")  # nothing but the locks protects the rows


@pytest.mark.parametrize("contender", HELD_BY_LOCKS)
def test_a_lock_stays_until_what_was_given_up_is_decided(contender):
    """Clients give up while a transaction is under way, and the next holder reads what became of it."""
    assert broken_seeds(contender) == []


@pytest.mark.parametrize("contender", HELD_BY_LOCKS)
def test_a_lock_that_is_released_at_once_loses_an_update(contender, monkeypatch):
    """The control: the strategy believes that every transaction has ended when its caller has the answer."""
    monkeypatch.setattr(SimulatedBackend, "unsettled", property(lambda self: False))
    assert broken_seeds(contender)
