"""Faults of processes, of their clocks and of the load: they hit children, and bring them back."""

import asyncio
import dataclasses
import signal
import time
from types import SimpleNamespace

import pytest

from stockade.lab.faults import FAULTS
from stockade.lab.faults.clock import JUMP_S
from stockade.lab.faults.pieces import BEYOND_LEASE, signal_at_point
from stockade.lab.faults.processes import PERIOD_S, _stop_half_of_the_time
from stockade.lab.recording.fault import ProcessRef
from stockade.lab.site.site import open_site
from stockade.lab.site.tools import no_faketime
from tests.lab.faults.disturbed import disturbed_on
from tests.waiting import eventually_async

NEAR_S = 5.0


@pytest.fixture
async def disturbed():
    """Two children on a site without servers."""
    site = SimpleNamespace(database=SimpleNamespace(kind="sqlite", is_server=True), links={}, redis=(), kafka=None)
    async with disturbed_on(site) as found:
        yield found


@pytest.mark.parametrize("name", ["process-kill", "process-kill-at-point"])
async def test_kills(disturbed, name):
    """One of two is gone, and replaced; healing again starts nothing."""
    (hit,) = await FAULTS[name].inject(disturbed)
    assert hit == f"service {disturbed.processes.states.index('X')}"
    assert sorted(disturbed.processes.states) == ["S", "X"]
    await FAULTS[name].heal(disturbed)
    await FAULTS[name].heal(disturbed)
    assert (disturbed.processes.states, disturbed.processes.starts) == ("SS", 1)


@pytest.mark.parametrize("name", ["process-pause", "process-pause-at-point"])
async def test_pauses(disturbed, name):
    """One of two is stopped for longer than a lease, however early it is healed."""
    began_s = time.monotonic()
    (hit,) = await FAULTS[name].inject(disturbed)
    assert hit == f"service {disturbed.processes.states.index('T')}"
    assert sorted(disturbed.processes.states) == ["S", "T"]
    await FAULTS[name].heal(disturbed)
    assert time.monotonic() - began_s >= BEYOND_LEASE * disturbed.lease_s
    await FAULTS[name].heal(disturbed)
    assert (disturbed.processes.states, disturbed.processes.starts) == ("SS", 0)


async def test_a_throttled_process_is_stopped_again_and_again(disturbed):
    """It is stopped and runs again, until it is healed; the other one runs all the time."""
    (hit,) = await FAULTS["process-throttle"].inject(disturbed)
    number, seen = int(hit[-1]), set()
    assert disturbed.processes.states[number] == "T", "it has been stopped when the fault says so"

    async def is_seen_both_ways():
        seen.add(disturbed.processes.states)
        return len(seen) == 2

    for _ in range(2):  # again and again
        seen.clear()
        assert await eventually_async(is_seen_both_ways)
    assert seen == {"SS", "TS" if number == 0 else "ST"}
    await FAULTS["process-throttle"].heal(disturbed)
    await FAULTS["process-throttle"].heal(disturbed)
    assert (disturbed.processes.states, disturbed.processes.starts) == ("SS", 0)


async def test_a_throttled_process_that_another_fault_has_stopped_stays_so(disturbed):
    """The end of a period does not resume it."""
    await disturbed.processes.pause(0)
    task = asyncio.create_task(_stop_half_of_the_time(ProcessRef(disturbed.processes, 0), asyncio.Event()))
    assert await asyncio.wait([task], timeout=3 * PERIOD_S) == (set(), {task})
    assert disturbed.processes.states == "TS"
    task.cancel()
    await asyncio.wait([task])
    assert disturbed.processes.states == "TS"


@pytest.mark.parametrize(("name", "lease_s"), [("process-pause", 1.0), ("process-pause-at-point", 0.3)])
async def test_a_throttled_process_is_left_to_its_fault(disturbed, name, lease_s):
    """Also while it runs, the other one is suspended, and stays so; where there is no other one, nothing is hit."""
    disturbed = dataclasses.replace(disturbed, lease_s=lease_s)
    (throttled,) = await FAULTS["process-throttle"].inject(disturbed)
    number = int(throttled[-1])
    disturbed.disturbances.chosen.clear()
    disturbed.disturbances.chosen.add(("service", 1 - number))  # so the throttled one would be preferred

    async def runs():
        return disturbed.processes.states[number] == "S"

    assert await eventually_async(runs)
    (hit,) = await FAULTS[name].inject(disturbed)
    assert hit != throttled

    async def is_resumed():
        return disturbed.processes.states[int(hit[-1])] != "T"

    with pytest.raises(AssertionError, match="not within"):
        await eventually_async(is_resumed, limit_s=2 * PERIOD_S)
    assert await FAULTS[name].inject(disturbed) == ()
    assert disturbed.notes[-1] == "no service runs that is not throttled"
    await FAULTS["process-throttle"].heal(disturbed)
    await FAULTS[name].heal(disturbed)
    assert disturbed.processes.states == "SS"


OF_PROCESSES = [
    name
    for name in (
        *("process-kill", "process-kill-at-point", "process-pause", "process-pause-at-point", "process-throttle"),
        "clock-ahead",
    )
    if not FAULTS[name].impossible("pessimistic", "sqlite")
]


@pytest.mark.parametrize("name", OF_PROCESSES)
async def test_without_a_process_nothing_is_hit(disturbed, name):
    """The answer is empty, the log says why, and the healing brings back none that it has not taken away."""
    for number in range(2):
        await disturbed.processes.kill(number)
    assert await FAULTS[name].inject(disturbed) == ()
    assert disturbed.notes == ["no service runs"]
    await FAULTS[name].heal(disturbed)


@pytest.mark.parametrize("name", ["process-kill-at-point", "process-pause-at-point"])
async def test_one_that_does_not_come_by_its_fault_point_is_not_hit(disturbed, monkeypatch, name):
    """It goes on, and the log says so: nothing was killed at another moment instead."""

    async def waits(number, wait_s):
        return False

    async def arms(number, point, signal):
        """Its fault point never comes."""
        return True

    monkeypatch.setattr(disturbed.processes, "was_signalled", waits)
    monkeypatch.setattr(disturbed.processes, "signal_at_point", arms)
    assert await FAULTS[name].inject(disturbed) == ()
    assert "did not come by the fault point" in disturbed.notes[0]
    assert disturbed.processes.states == "SS"
    assert not any(disturbed.disturbances.held_away.values())
    assert len(await FAULTS["duplicates-restart"].inject(disturbed)) == 2
    await FAULTS["duplicates-restart"].heal(disturbed)
    await FAULTS[name].heal(disturbed)


@pytest.fixture
def slow(disturbed, monkeypatch):
    """Function: let a process come by its fault point only where it says so; what was asked for, as (number, point)."""

    def slow(comes):
        asked, signalled, ends = [], disturbed.processes.signal_at_point, disturbed.processes.was_signalled

        async def arms(number, point, signal):
            asked.append((number, point))
            return await signalled(number, point, signal) if comes(number, point) else True

        async def was_signalled(number, wait_s):
            return comes(*asked[-1]) and await ends(number, wait_s)

        monkeypatch.setattr(disturbed.processes, "signal_at_point", arms)
        monkeypatch.setattr(disturbed.processes, "was_signalled", was_signalled)
        return asked

    return slow


async def test_a_process_whose_transactions_come_to_no_commit_is_killed_when_one_begins(disturbed, slow):
    """Under a slow link each may end at its deadline, before the fault point that was drawn."""
    asked = slow(lambda number, point: point == "begin")
    while not asked or asked[0][1] == "begin":
        asked.clear()
        (hit,) = await FAULTS["process-kill-at-point"].inject(disturbed)
        await FAULTS["process-kill-at-point"].heal(disturbed)
    assert [point for _, point in asked] == [asked[0][1], "begin"]
    assert hit == f"service {asked[0][0]}"
    assert "did not come by the fault point" in disturbed.notes[-2]
    assert disturbed.notes[-1] == "at the fault point 'begin'"


async def test_another_process_is_suspended_where_the_first_gets_no_lock(disturbed, slow):
    """It is asked for the same, and the first one goes on."""
    asked = slow(lambda number, point: number != asked[0][0])
    (hit,) = await FAULTS["process-pause-at-point"].inject(disturbed)
    assert [number for number, _ in asked] == [1 - int(hit[-1]), int(hit[-1])]
    assert sorted(disturbed.processes.states) == ["S", "T"]
    await FAULTS["process-pause-at-point"].heal(disturbed)


async def test_a_process_that_another_fault_holds_away_was_not_restarted(disturbed):
    """The restart says which processes it has replaced, not which there are."""
    (killed,) = await FAULTS["process-kill"].inject(disturbed)
    (replaced,) = await FAULTS["duplicates-restart"].inject(disturbed)
    assert {killed, replaced} == {"service 0", "service 1"}


async def test_one_that_serves_nobody_and_one_that_cannot_take_a_signal_back(disturbed, monkeypatch):
    """The first one is not hit; the second one was replaced, which the log says, and must serve again."""
    hit = ProcessRef(disturbed.processes, 0)

    async def is_silent(number, point, signal):
        return False

    async def is_slow(number, wait_s):
        await disturbed.processes.replace(number)
        return False

    with monkeypatch.context() as patched:
        patched.setattr(disturbed.processes, "signal_at_point", is_silent)
        assert not await signal_at_point(disturbed, hit, "loaded", signal.SIGKILL)
    assert disturbed.notes.pop() == "service 0 does not serve"
    monkeypatch.setattr(disturbed.processes, "was_signalled", is_slow)
    assert not await signal_at_point(disturbed, hit, "loaded", signal.SIGSTOP)
    assert disturbed.notes[-1] == "it was too slow to take the signal back, and was replaced"
    assert [each.name for each in disturbed.expected] == ["service 0"]


@pytest.mark.parametrize("name", ["process-kill-at-point", "process-pause-at-point"])
async def test_under_a_command_log_fault_points_are_those_of_its_workers(name):
    """The service processes decide nothing there."""
    site = SimpleNamespace(database=SimpleNamespace(kind="postgres", is_server=True))
    async with disturbed_on(site, workers=1) as found:
        assert await FAULTS[name].inject(found) == ("log worker 0",)
        assert (found.processes.states, found.workers.states in "XT") == ("SS", True)
        await FAULTS[name].heal(found)
        assert found.workers.states == "S"
        assert "log worker 0" in [each.name for each in found.expected]


async def test_each_fault_hits_another_process_and_brings_back_its_own(disturbed):
    """Two kills leave none; the healing of one starts its process, and the other stays away until it is healed."""
    one, other = FAULTS["process-kill"], FAULTS["process-kill-at-point"]
    hit = [*await one.inject(disturbed), *await other.inject(disturbed)]
    assert sorted(hit) == ["service 0", "service 1"]
    await one.heal(disturbed)
    assert disturbed.processes.states[int(hit[0][-1])] == "S"
    assert disturbed.processes.states[int(hit[1][-1])] == "X"
    assert [each.name for each in disturbed.expected] == hit[:1]
    await other.heal(disturbed)
    assert disturbed.processes.states == "SS"


@pytest.mark.parametrize(("one", "other"), [("overload", "small-pool"), ("duplicates", "duplicates-restart")])
async def test_a_load_that_two_faults_make_ends_with_the_second(disturbed, one, other):
    """The healing of the first leaves what the second does."""
    usual = dataclasses.asdict(disturbed.load)
    await FAULTS[one].inject(disturbed)
    await FAULTS[other].inject(disturbed)
    await FAULTS[one].heal(disturbed)
    assert dataclasses.asdict(disturbed.load) != usual
    await FAULTS[other].heal(disturbed)
    assert dataclasses.asdict(disturbed.load) == usual


@pytest.mark.parametrize(("name", "jump_s"), [("clock-ahead", JUMP_S), ("clock-back", -JUMP_S)])
async def test_clocks(disturbed, name, jump_s):
    """The wall clock of one process moves, its monotonic clock does not, and the other process has the time."""
    if why := no_faketime():
        pytest.skip(f"left out: libfaketime ({why})")
    (hit,) = await FAULTS[name].inject(disturbed)
    assert hit.endswith(f", {jump_s:+d} s")
    here = (time.time(), time.monotonic())
    found = [disturbed.processes.clocks(number) for number in range(2)]
    moved = sorted(round(wall - here[0]) for wall, _ in found)
    assert moved == pytest.approx(sorted([0, jump_s]), abs=NEAR_S)
    assert [steady for _, steady in found] == pytest.approx([here[1]] * 2, abs=NEAR_S)
    number = int(hit[len("service ")])
    disturbed.disturbances.held_away["process-kill"] = [ProcessRef(disturbed.processes, number)]
    await disturbed.processes.kill(number)
    starts = disturbed.processes.starts
    await FAULTS[name].heal(disturbed)
    assert (disturbed.processes.starts, disturbed.processes.states[number]) == (starts, "X"), "it is held away"
    await FAULTS["process-kill"].heal(disturbed)
    await FAULTS[name].heal(disturbed)
    assert [disturbed.processes.clocks(n)[0] for n in range(2)] == pytest.approx([time.time()] * 2, abs=NEAR_S)


@pytest.mark.parametrize(
    ("name", "knob"),
    [
        ("overload", "rate_factor"),
        ("small-pool", "rate_factor"),
        ("duplicates", "duplicate_share"),
        ("duplicates-restart", "duplicate_share"),
        ("cancellation", "cancel_share"),
    ],
)
async def test_loads(disturbed, name, knob):
    """The load is changed, and afterwards as before."""
    usual = getattr(disturbed.load, knob)
    await FAULTS[name].inject(disturbed)
    assert getattr(disturbed.load, knob) > usual
    await FAULTS[name].heal(disturbed)
    assert getattr(disturbed.load, knob) == usual
    assert disturbed.processes.states == "SS"


async def test_healing_without_an_injection():
    """Every fault heals a recording in which its injection failed before it began."""
    async with open_site("sqlite") as site, disturbed_on(site) as found:
        for fault in FAULTS.values():
            if not fault.impossible("pessimistic", "sqlite"):
                await fault.heal(found)
        assert found.processes.states == "SS"
