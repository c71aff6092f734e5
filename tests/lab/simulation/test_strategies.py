"""Every strategy in the simulator: seeds without a violation under every fault; the negative controls are caught."""

import pytest

from stockade.lab.checkers import judge
from stockade.lab.model.contender import Contender, all_contenders
from stockade.lab.simulation.schedule import schedule
from stockade.lab.simulation.settings import OPTIONS, STORMS, Settings
from stockade.lab.simulation.simulation import play
from stockade.store.transaction.optimistic import OPTIMISTIC
from stockade.strategies import registry

SEEDS = 10  # of each strategy under each of the faults
GUARDED = [
    each
    for each in all_contenders(with_forms=True)
    if each.form != "bare" and not each.guarantees.may_oversell and not each.needs_kafka
]


def compares_at_the_write(contender):
    """Whether rows are read one after the other without locks, and only an accepted command compares them."""
    strategy = object.__new__(registry.find(contender.strategy))
    strategy.options = contender.options(OPTIONS)
    return strategy.guard.kind in OPTIMISTIC


def violations(history):
    """What is wrong, without the refusals of strategies that compare rows only when they write them.

    Such a refusal was decided on rows that were read one after the other: each of them was so at some moment, but
    perhaps not all at the same one.
    """
    found = judge(history)
    if compares_at_the_write(Contender.parse(history.strategy)):
        found = [each for each in found if each.rule != "serializable"]
    return found


@pytest.mark.parametrize("storm", STORMS)
@pytest.mark.parametrize("contender", GUARDED, ids=lambda contender: contender.name)
def test_no_violation(contender, storm):
    """No seed breaks a rule; a failure prints the seed and the schedule."""
    processes = 1 if contender.guarantees.processes == "one" else 2
    for seed in range(SEEDS):
        played = play(seed, Settings.named(contender.name, storm, processes))
        found = violations(played.history)
        assert not found, f"seed {seed}\n{schedule(played.history)}\n{found}"
        assert not any(each.code == "NOT_SUPPORTED" for each in played.history.operations)
