"""What a round plays, in which order and how often, without a server: openings, points of one setting, time left."""

from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from stockade.lab.model.contender import Contender
from stockade.lab.sweeps.choose import complete_plan
from stockade.lab.sweeps.lines import note_lines
from stockade.lab.sweeps.plan import BURSTS, LEAST_REPEATS, SweepPlan
from stockade.lab.sweeps.sweep import Sweep
from stockade.lab.sweeps.sweep_file import SweepFile
from stockade.strategies import registry
from tests.lab.sweeps.made_up import CODE, sample

NAMES = ("optimistic", "pessimistic")


class Player:
    """Counts what is opened and played."""

    def __init__(self):
        self.opened, self.played, self.open_now = [], [], 0

    @asynccontextmanager
    async def open(self, setting, contender):
        """One strategy at a time."""
        assert not self.open_now
        self.open_now += 1
        self.opened.append((setting.opening, contender.name))
        yield contender
        self.open_now -= 1

    async def play(self, opened, point, number):
        """As many bursts as a turn has."""
        self.played.append((point.id, opened.name))
        return [sample(number, len(self.played), burst=burst) for burst in range(BURSTS)]


def planned(database="sqlite", *, repeats=2, thorough=False, names=NAMES, **chosen):
    return complete_plan(SweepPlan((), (), database, repeats=repeats), chosen, names, thorough=thorough)


async def played(plan):
    """Two rounds of a plan: the sweep, and who was opened and played."""
    sweep, player = Sweep(plan, SweepFile(None, plan, CODE), CODE), Player()
    for number in range(plan.repeats):
        await sweep._round(player, number, lambda progress: None)
    return sweep, player


async def test_points_of_one_setting_are_played_once_and_have_the_same_samples():
    """30 buyers of one row are the usual setting of three axes."""
    plan = planned(buyers=(5, 30), keys=(1, 3), processes=(1, 2))
    sweep, player = await played(plan)
    assert len(player.played) == 2 * 4 * 3  # rounds, settings, strategies
    found = {(each.point.id, each.contender.name): each.samples for each in sweep.results}
    assert found["buyers=30", "optimistic"] == found["keys=1", "optimistic"] == found["processes=1", "optimistic"]
    assert found["buyers=30", "optimistic"] != found["buyers=5", "optimistic"]
    assert {len(samples) for samples in found.values()} == {2 * BURSTS}
    assert sweep.turns_left == 0


async def test_an_opening_is_for_all_points_that_need_no_other_one():
    """Buyers, rows and skew change the orders only; the next round begins with another strategy."""
    _, player = await played(planned(buyers=(5, 30), keys=(1, 3), pool=(4, 8)))
    assert len(player.opened) == 2 * 2 * 3
    assert [name for _, name in player.opened[:6:3]] == ["unprotected", "unprotected"]
    assert player.opened[6][1] == "optimistic"


def test_a_file_with_one_of_them_has_the_other_too():
    """What a sweep of buyers has measured is not played again for the rows."""
    plan = planned(buyers=(30, 60))
    file = SweepFile(None, plan, CODE)
    for contender in plan.contenders:
        for point in plan.points:
            file.samples[point.id, contender.name] = [sample(0), sample(1)]
    more = replace(plan, points=[*plan.points, *planned(keys=(1, 3)).points])
    file.points |= {point.id: point for point in more.points}
    assert {point.id for point, _ in Sweep(more, file, CODE).missing(0)} == {"keys=3"}


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_a_sweep_without_options_takes_minutes(database):
    """Its rounds bear an interval, and its points are fewer than those of a thorough one."""
    usual, thorough = planned(database, repeats=LEAST_REPEATS), planned(database, thorough=True)
    assert len(usual.turns) <= 0.62 * len(thorough.turns)
    assert {each.axis for each in usual.points} == {each.axis for each in thorough.points}
    assert usual.turn_s < thorough.turn_s
    known = {each: Contender.parse(each).guarantees.databases for each in registry.names()}
    everybody = tuple(name for name in known if name != "unprotected" and database in known[name])
    plans = [planned(database, repeats=LEAST_REPEATS, names=everybody, thorough=each) for each in (False, True)]
    usual_s, thorough_s = (Sweep(plan, SweepFile(None, plan, CODE), CODE).left_s for plan in plans)
    assert usual_s < 20 * 60
    assert usual_s < 0.62 * thorough_s


async def test_a_turn_that_was_cut_short_is_named():
    """With the number of its rounds, and how to play all of it; the control is a turn that was not."""
    sweep, _ = await played(planned(buyers=(5, 30)))
    assert note_lines(sweep.results, 3.0) == []
    samples = sweep._file.samples["buyers=5", "optimistic"]
    samples[:] = samples[1:]
    (line,) = note_lines(sweep.results, 3.0)
    assert line.startswith("cut short (fewer than 3 bursts, as a turn took more than 3 s; --thorough plays all): ")
    assert line.endswith(": buyers=5 optimistic in 1 of 2 rounds")
