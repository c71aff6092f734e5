"""Faults of processes, of their clocks and of the load: they hit children, and bring them back."""

import time
from types import SimpleNamespace

import pytest

from stockade.lab.faults import FAULTS
from stockade.lab.faults.clock import JUMP_S
from stockade.lab.faults.pieces import BEYOND_LEASE
from stockade.lab.site.site import open_site
from stockade.lab.site.tools import no_faketime
from tests.lab.faults.disturbed import disturbed_on

NEAR_S = 5.0


@pytest.fixture
async def disturbed():
    """Two children on a site without servers."""
    site = SimpleNamespace(injected={}, database=SimpleNamespace(kind="sqlite"), links={}, redis=(), kafka=None)
    async with disturbed_on(site) as found:
        yield found


@pytest.mark.parametrize("name", ["process-kill", "process-kill-at-point"])
async def test_kills(disturbed, name):
    """One of two is gone, and replaced; healing again starts nothing."""
    await FAULTS[name].inject(disturbed)
    assert sorted(disturbed.processes.states) == ["S", "X"]
    await FAULTS[name].heal(disturbed)
    await FAULTS[name].heal(disturbed)
    assert (disturbed.processes.states, disturbed.processes.starts) == ("SS", 1)


@pytest.mark.parametrize("name", ["process-pause", "process-pause-at-point"])
async def test_pauses(disturbed, name):
    """One of two is stopped for longer than a lease, however early it is healed."""
    began_s = time.monotonic()
    await FAULTS[name].inject(disturbed)
    assert sorted(disturbed.processes.states) == ["S", "T"]
    await FAULTS[name].heal(disturbed)
    assert time.monotonic() - began_s >= BEYOND_LEASE * disturbed.lease_s
    await FAULTS[name].heal(disturbed)
    assert (disturbed.processes.states, disturbed.processes.starts) == ("SS", 0)


@pytest.mark.parametrize(("name", "jump_s"), [("clock-ahead", JUMP_S), ("clock-back", -JUMP_S)])
async def test_clocks(disturbed, name, jump_s):
    """The wall clock of one process moves, its monotonic clock does not, and the other process has the time."""
    if why := no_faketime():
        pytest.skip(f"left out: libfaketime ({why})")
    await FAULTS[name].inject(disturbed)
    here = (time.time(), time.monotonic())
    found = [disturbed.processes.clocks(number) for number in range(2)]
    moved = sorted(round(wall - here[0]) for wall, _ in found)
    assert moved == pytest.approx(sorted([0, jump_s]), abs=NEAR_S)
    assert [steady for _, steady in found] == pytest.approx([here[1]] * 2, abs=NEAR_S)
    await FAULTS[name].heal(disturbed)
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
