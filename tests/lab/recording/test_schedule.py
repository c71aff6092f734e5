"""Schedules: the seed decides them, faults are injected in the middle and healed whatever happens."""

import asyncio
import itertools
import time

import pytest

from stockade.lab.errors import LabError
from stockade.lab.recording.fault import Fault
from stockade.lab.recording.schedule import FAULT_SHARE, WARM_SHARE, combined, drawn, run_schedule


def fault(name, done, fails=False):
    async def inject(disturbed):
        done.append(("inject", name))
        if fails:
            raise LabError(f"{name} cannot be injected")

    async def heal(disturbed):
        done.append(("heal", name))

    return Fault(name, name, inject, heal)


@pytest.mark.parametrize("make", [combined, drawn])
def test_the_seed_decides_the_schedule(make):
    """Equal seeds make equal schedules, in the middle of the load; another seed makes another one."""
    faults = [fault("a", []), fault("b", [])]
    plan = make(faults, 60.0, 5)
    assert plan == make(faults, 60.0, 5) != make(faults, 60.0, 6)
    for entry in plan:
        assert 60 * WARM_SHARE <= entry.at_s <= entry.heal_at_s <= 60 * (WARM_SHARE + FAULT_SHARE)


@pytest.mark.parametrize("seconds", [2.0, 60.0])
@pytest.mark.parametrize("seed", range(20))
def test_each_drawn_fault_happens_at_least_once(seconds, seed):
    """Six faults fit into the middle of a short recording and of a long one: none counts as never injected."""
    faults = [fault(name, []) for name in "abcdef"]
    plan = drawn(faults, seconds, seed)
    assert {each.fault.name for each in plan} == set("abcdef")
    assert len({each.fault.name for each in plan[:6]}) == 6


def test_a_fault_never_overlaps_itself():
    """In a drawn schedule a fault is healed before it is injected again: otherwise the healing would end both."""
    plan = drawn([fault("a", []), fault("b", [])], 600.0, 1)
    assert len(plan) > 20
    for name in "ab":
        mine = [each for each in plan if each.fault.name == name]
        assert all(one.heal_at_s <= next_.at_s for one, next_ in itertools.pairwise(mine))


async def test_what_was_injected_is_healed_when_a_later_fault_fails():
    """A fault that cannot be injected ends the schedule, and all faults before it are healed."""
    done, log = [], []
    plan = combined([fault("a", done), fault("b", done, fails=True)], 0.05, 1)
    with pytest.raises(LabError, match="b cannot be injected"):
        await run_schedule(plan, None, log, time.monotonic())
    injected = {name for action, name in done if action == "inject"}
    assert {name for action, name in done if action == "heal"} == injected
    assert [(each.action, each.fault) for each in log] == done


async def test_a_schedule_that_is_cancelled_heals():
    """Ctrl-C in the middle of a fault leaves nothing broken."""
    done = []
    plan = [each._replace(at_s=0.0, heal_at_s=60.0) for each in combined([fault("a", done)], 1.0, 1)]
    task = asyncio.create_task(run_schedule(plan, None, [], time.monotonic()))
    async with asyncio.timeout(5):
        while not done:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert done == [("inject", "a"), ("heal", "a")]
