"""A service process whose server is away is started again until it is back, as a supervisor does."""

import asyncio

import pytest

from stockade.lab.errors import LabError
from stockade.lab.execution.processes.messages import Counters
from stockade.lab.recording import engine, service_processes
from stockade.lab.recording.service_processes import ServiceProcesses


class Process:
    """A stand-in for a process that can be started once its server is there."""

    def __init__(self):
        self.server_is_there = False
        self.running = False
        self.starts = []

    async def start(self, environment=None):
        """See `ServiceProcess`."""
        self.starts.append(environment)
        if not self.server_is_there:
            raise LabError("no server")
        self.running = True

    async def kill(self):
        """See `ServiceProcess`."""
        self.running = False

    async def counters(self, wait_s):
        """See `ServiceProcess`."""
        return Counters({})

    async def serves(self, wait_s):
        """See `ServiceProcess`."""
        return self.running

    async def resume(self):
        """See `ServiceProcess`."""

    close = kill


@pytest.fixture
def group(monkeypatch):
    """A group of one process, and that process."""
    monkeypatch.setattr(service_processes, "START_PAUSE_S", 0.001)
    monkeypatch.setattr(service_processes, "START_WAIT_S", 0.01)
    found = ServiceProcesses("service", 0, None)
    process = Process()
    found.processes = [process]
    return found, process


async def test_it_is_started_until_its_server_is_back(group):
    """`replace` returns although the server is away; `restore` waits until the process runs, with its environment."""
    processes, process = group
    await processes.replace(0, {"FAKETIME": "+60"})
    assert not await processes.serves(0, 0.01)
    process.server_is_there = True
    assert await processes.serves(0, 5.0)
    await processes.restore()
    assert process.running
    assert [dict(each) for each in process.starts] == [{"FAKETIME": "+60"}] * len(process.starts)


async def test_a_server_that_stays_away_ends_the_recording(group, monkeypatch):
    """The bound: what the process said the last time."""
    monkeypatch.setattr(service_processes, "START_AGAIN_S", 0.03)
    processes, _ = group
    await processes.replace(0)
    with pytest.raises(LabError, match="no server"):
        await processes.restore()


async def test_recovery_is_not_judged_before_every_process_serves(group, monkeypatch):
    """The recording waits for the last one, a bounded time; one that has ended meanwhile is started anew."""
    processes, process = group
    monkeypatch.setattr(engine, "HEALED_WAIT_S", 5.0)
    await processes.replace(0)
    waiting = asyncio.create_task(engine._all_serve([processes]))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not waiting.done()
    process.server_is_there = True
    await waiting
    process.running, starts = False, len(process.starts)
    await engine._all_serve([processes])
    assert (process.running, len(process.starts)) == (True, starts + 1)
    monkeypatch.setattr(engine, "HEALED_WAIT_S", 0.02)
    monkeypatch.setattr(process, "serves", lambda wait_s: asyncio.sleep(0, False))
    await engine._all_serve([processes])


async def test_a_killed_process_stays_away(group):
    """Nobody starts it any more, until it is replaced."""
    processes, process = group
    await processes.replace(0)
    await processes.kill(0)
    starts, process.server_is_there = len(process.starts), True
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(process.starts) == starts
    await processes.close()
