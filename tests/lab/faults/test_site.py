"""What a site does beyond what a fault asks for is said, so that no history blames the wrong fault."""

import asyncio
from types import SimpleNamespace

import pytest

from stockade.lab.faults import FAULTS, pieces
from stockade.lab.recording.fault import ProcessRef
from stockade.lab.site import database_server, system_calls
from stockade.lab.site.database_server import DatabaseServer
from stockade.lab.site.disk import Disk
from tests.lab.faults.disturbed import Children, disturbed_at


class Server:
    """A database server that answers only after a start."""

    def __init__(self, answers):
        self.running, self.answers, self.done = True, answers, []

    def resume(self):
        self.done.append("resume")

    def kill(self):
        self.done.append("kill")
        self.running = False

    def start(self):
        self.done.append("start")
        self.running = self.answers = True


def disturbed_with(database):
    return disturbed_at(SimpleNamespace(database=database, server=database, redis=()))


@pytest.mark.parametrize("answers", [True, False])
async def test_a_healing_that_kills_a_server_says_so(monkeypatch, answers):
    """One that runs and gives no answer is killed by the lab, not by the fault that is healed."""
    monkeypatch.setattr(database_server, "ANSWER_WAIT_S", 0.02)
    database = DatabaseServer("postgres", durable=False, small_disk=False)
    database.server = server = Server(answers)

    async def answers_within(wait_s):
        return server.answers

    monkeypatch.setattr(database, "_answers", answers_within)
    disturbed = disturbed_with(database)
    await FAULTS["session-kill"].heal(disturbed)
    assert server.done == (["resume"] if answers else ["resume", "kill", "start"])
    assert disturbed.notes == ([] if answers else ["postgres ran, gave no answer in 0 s, and was killed"])


async def test_a_tracer_that_has_ended_before_the_healing_is_said():
    """The disk was slow for a part of the time only, or not at all."""
    disk = Disk()
    disk._traced = (list, "delay_enter=1")
    disk._calls._tracer = SimpleNamespace(returncode=0)
    assert await disk.restore() == "strace had ended before the healing"
    assert await disk.restore() == ""


async def test_a_disk_is_healed_while_a_process_is_replaced():
    """What is seized meanwhile is seized before or after the healing, so it is healed in the end."""
    disk, active = Disk(), []

    class Calls:
        has_ended = False

        async def begin(self, pids, what):
            await asyncio.sleep(0)
            active[:] = [what]

        async def end(self):
            active.clear()
            await asyncio.sleep(0)

    disk._calls = Calls()
    await disk.slow(lambda: [1], 0.1)
    assert active
    await asyncio.gather(disk.restore(), disk.seize(), disk.seize())
    assert not active


async def test_processes_that_end_while_the_tracer_attaches_are_no_error(monkeypatch):
    """A service that crashes in this moment ends no recording."""

    class Tracer:
        returncode = 1

    async def start(*arguments, **options):
        return Tracer()

    monkeypatch.setattr(system_calls.asyncio, "create_subprocess_exec", start)
    monkeypatch.setattr(system_calls, "_traced", lambda pid: False)
    monkeypatch.setattr(system_calls, "_exists", lambda pid: False)
    await system_calls.SystemCallFault().begin([1], system_calls.FAILING)


@pytest.mark.parametrize("is_server", [True, False])
async def test_a_process_that_replaces_another_has_the_disk_of_its_file(is_server):
    """SQLite is written by the processes of the service, so the fault is theirs."""
    seized, processes = [], Children(1)

    async def seize():
        seized.append(processes.pid(0))

    database = SimpleNamespace(is_server=is_server, kind="sqlite", disk=SimpleNamespace(seize=seize))
    disturbed = disturbed_with(database)
    try:
        await pieces.replace(disturbed, ProcessRef(processes, 0))
        assert seized == [processes.pid(0)] * (not is_server)
    finally:
        await processes.close()
