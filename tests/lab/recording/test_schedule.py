"""Schedules: the seed decides them, faults are injected in the middle and healed whatever happens."""

import asyncio
import contextvars
import dataclasses
import itertools
import threading
import time

import pytest

from stockade.lab.errors import LabError
from stockade.lab.recording import schedule
from stockade.lab.recording.fault import Disturbed, Fault
from stockade.lab.recording.schedule import FAULT_SHARE, WARM_SHARE, combined, drawn, run_schedule

DISTURBED = Disturbed(None, None, None, None, None, "postgres", "pessimistic", 1.0)


def fault(name, done, fails=False, **more):
    async def inject(disturbed):
        done.append(("inject", name))
        if fails:
            raise LabError(f"{name} cannot be injected")
        return (f"what {name} hits",)

    async def heal(disturbed):
        done.append(("heal", name))

    return Fault(name, name, inject, heal, **more)


async def play(entries, log=None):
    """Run a schedule that begins now."""
    await run_schedule(entries, DISTURBED, [] if log is None else log, time.monotonic())


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
        await run_schedule(plan, DISTURBED, log, time.monotonic())
    injected = {name for action, name in done if action == "inject"}
    assert {name for action, name in done if action == "heal"} == injected >= {"b"}
    assert log == sorted(log)


async def test_the_log_says_what_was_hit_and_from_when_to_when():
    """The injection has what it hit; each entry has its begin and its end."""
    log = []
    await play(combined([fault("a", [])], 0.05, 1), log)
    assert [(each.action, each.hit) for each in log] == [("inject", ("what a hits",)), ("heal", ())]
    assert all(0 < each.at_ns <= each.end_ns for each in log)


async def test_the_log_says_what_only_the_healing_can_tell():
    """What was hit stands in the entry of the healing then."""

    async def heal(disturbed):
        return ["link: 12 bytes late"]

    log = []
    await play(combined([dataclasses.replace(fault("a", []), heal=heal)], 0.05, 1), log)
    assert [each.hit for each in log] == [("what a hits",), ("link: 12 bytes late",)]


@pytest.mark.parametrize("seed", range(10))
async def test_a_slow_injection_delays_no_other_and_all_are_in_place_together(seed):
    """One that touches something else is in place meanwhile; it is healed only when both were."""
    log, done, other_is_there = [], [], asyncio.Event()
    slow, quick = fault("slow", done, touches=frozenset({"a"})), fault("quick", done, touches=frozenset({"b"}))

    async def inject_slowly(disturbed):
        async with asyncio.timeout(5):
            await other_is_there.wait()
        return ("a",)

    async def inject_quickly(disturbed):
        other_is_there.set()
        return ("b",)

    faults = [dataclasses.replace(slow, inject=inject_slowly), dataclasses.replace(quick, inject=inject_quickly)]
    await play(combined(faults, 0.02, seed), log)
    in_place = max(each.end_ns for each in log if each.action == "inject")
    assert in_place < min(each.at_ns for each in log if each.action == "heal")


@pytest.mark.parametrize("seed", range(10))
async def test_those_that_touch_the_same_come_one_after_the_other_and_what_ends_it_last(seed):
    """However the seed draws them: the server is not killed before its session ends."""
    done, active = [], []
    thing = frozenset({"database"})

    def watched(name, **more):
        made = fault(name, done, touches=thing, **more)

        async def inject(disturbed):
            active.append(name)
            await asyncio.sleep(0)
            assert active == [name]
            active.clear()
            return await made.inject(disturbed)

        return dataclasses.replace(made, inject=inject)

    await play(combined([watched("kill", ends_it=True), watched("session"), watched("disk")], 0.02, seed))
    assert [name for action, name in done if action == "inject"][-1] == "kill"


@pytest.mark.parametrize("seed", range(10))
async def test_nothing_begins_while_one_waits_for_a_service_at_work(seed):
    """A process reaches no fault point behind a silent link, and may not start within its time on a slow one."""
    done = []
    point = fault("point", done, touches=frozenset({"processes"}), needs_service=True)
    silent = fault("silent", done, touches=frozenset({"link"}), ends_it=True)
    slow = fault("slow", done, touches=frozenset({"link to another"}))
    begun = asyncio.Event()

    async def inject(disturbed):
        for _ in range(100):
            await asyncio.sleep(0)
        assert not begun.is_set()
        return await point.inject(disturbed)

    async def inject_slow(disturbed):
        begun.set()
        return await slow.inject(disturbed)

    faults = [dataclasses.replace(point, inject=inject), silent, dataclasses.replace(slow, inject=inject_slow)]
    await play(combined(faults, 0.02, seed))
    assert sorted(name for action, name in done if action == "inject") == ["point", "silent", "slow"]


@pytest.mark.parametrize("seed", range(5))
async def test_what_ends_something_lets_the_others_act_first(seed):
    """On a slow link to a server that has been killed nothing passes: the slowness would not have acted."""
    log = []
    faults = [fault("slow", [], touches=frozenset({"link"})), fault("kill", [], ends_it=True)]
    await play(combined(faults, 0.4, seed), log)
    slow, kill = (next(e for e in log if (e.fault, e.action) == (name, "inject")) for name in ("slow", "kill"))
    assert kill.at_ns - slow.end_ns > 40_000_000


@pytest.mark.parametrize("seed", range(5))
async def test_a_link_falls_silent_before_its_server_ends(seed):
    """A server whose disk fails ends: nothing is on its link any more that silence could touch."""
    done = []
    silent = fault("silent", done, touches=frozenset({"link"}), exclusive=frozenset({"links"}), ends_it=True)
    await play(combined([fault("disk", done, ends_it=True), silent], 0.02, seed))
    assert [name for action, name in done if action == "inject"] == ["silent", "disk"]


@pytest.mark.parametrize("make", [combined, drawn])
@pytest.mark.parametrize("seconds", [0.02, 0.1])
async def test_no_fault_lasts_no_time(make, seconds):
    """Also one whose injection takes longer than its planned time."""
    log = []
    late = fault("late", [])

    async def inject(disturbed):
        await asyncio.to_thread(threading.Event().wait, seconds)
        return ("x",)

    await play(make([dataclasses.replace(late, inject=inject), fault("b", [])], seconds, 3), log)
    for name in ("late", "b"):
        injected, healed = (
            next(each for each in log if (each.fault, each.action) == (name, action)) for action in ("inject", "heal")
        )
        assert healed.at_ns > injected.end_ns


async def test_a_process_that_does_not_serve_again_is_in_the_log(monkeypatch):
    """The healing waits for those that it has brought back, a bounded time; one that serves is no news."""
    monkeypatch.setattr(schedule, "SERVE_WAIT_S", 0.02)
    log, asked = [], []

    class Group:
        name = "service"

        async def serves(self, number, wait_s):
            asked.append(number)
            return number == 0

    async def heal(disturbed):
        disturbed.expect(Group(), 0)
        disturbed.expect(Group(), 1)
        asyncio.get_running_loop().call_soon(disturbed.note, "healed", context=contextvars.Context())
        await asyncio.sleep(0)

    await play(combined([dataclasses.replace(fault("a", []), heal=heal)], 0.02, 1), log)
    assert asked == [0, 1]
    assert log[-1].detail == "healed; service 1 did not serve again within 0 s"


async def test_a_schedule_that_is_cancelled_heals():
    """Ctrl-C in the middle of a fault leaves nothing broken."""
    done = []
    plan = [each._replace(at_s=0.0, heal_at_s=60.0) for each in combined([fault("a", done)], 1.0, 1)]
    task = asyncio.create_task(run_schedule(plan, DISTURBED, [], time.monotonic()))
    async with asyncio.timeout(5):
        while not done:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert done == [("inject", "a"), ("heal", "a")]


async def test_the_log_says_which_fault_suspends():
    """The checkers know no faults, only the log."""
    log = []
    await play(combined([fault("a", [], stops_processes=True), fault("b", [])], 0.1, 1), log)
    assert {each.fault: each.stops_processes for each in log} == {"a": True, "b": False}
