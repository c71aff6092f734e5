"""Every strategy in the simulator: seeds without a violation under every fault. The controls: `tests/lab/mutants`."""

import pytest

from stockade.lab.checkers import judge
from stockade.lab.model.contender import all_contenders
from stockade.lab.simulation.schedule import schedule
from stockade.lab.simulation.settings import OF_THE_LOG, STORMS, Settings
from stockade.lab.simulation.simulation import play

SEEDS = 8  # of each strategy under each of the faults
GUARDED = [each for each in all_contenders(with_forms=True) if each.form != "bare" and not each.guarantees.may_oversell]
PLAYED = [(each, storm) for each in GUARDED for storm in STORMS if each.needs_kafka or storm not in OF_THE_LOG]


@pytest.mark.parametrize(("contender", "storm"), PLAYED, ids=[f"{each.name}-{storm}" for each, storm in PLAYED])
def test_no_violation(contender, storm):
    """No seed breaks a rule; a failure prints the seed and the schedule."""
    processes = 1 if contender.guarantees.processes == "one" else 2
    for seed in range(SEEDS):
        played = play(seed, Settings.named(contender.name, storm, processes))
        found = judge(played.history)
        assert not found, f"seed {seed}\n{schedule(played.history)}\n{found}"
        assert not any(each.code == "NOT_SUPPORTED" for each in played.history.operations)
