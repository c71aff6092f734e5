"""A process that crashes, hangs or loses what it runs is a violation of its history, not the end of the recording."""

import asyncio
import os
import signal
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from stockade.lab.checkers import judge
from stockade.lab.checkers.indexed_history import IndexedHistory
from stockade.lab.checkers.requests import unexpected
from stockade.lab.errors import LabError
from stockade.lab.execution.processes.answers import Answer
from stockade.lab.execution.processes.messages import Counters
from stockade.lab.execution.processes.service_process import ServiceProcess
from stockade.lab.faults import find_faults
from stockade.lab.history.operation import OK, UNKNOWN
from stockade.lab.model.burst import RepeatNames
from stockade.lab.model.contender import Contender
from stockade.lab.recording import final_phase
from stockade.lab.recording.engine import record
from stockade.lab.recording.final_phase import FinalPhase
from stockade.lab.recording.plan import RecordingPlan
from stockade.lab.recording.service_processes import ServiceProcesses
from stockade.lab.recording.watches import leftovers
from stockade.lab.recording.watches.leftovers import LeftoverWatch
from stockade.lab.workloads.registry import find_workload
from stockade.lab.workloads.workload import Request
from tests.lab.checkers.small_histories import small

NAMES = RepeatNames("7", 0, 0, 0, 1_000)


def requests(count):
    return [Request(NAMES.charge(number, "user", 10), {}) for number in range(count)]


async def passed(seconds):
    """What a service takes for an answer."""
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        await asyncio.sleep(0)


async def test_a_process_that_ends_by_itself_under_a_fault_of_something_else():
    """Its heal starts no process, so the end of the faults does: the history is judged, and has the crash."""
    (cancellation,) = find_faults("cancellation")

    async def crash(disturbed):
        os.kill(disturbed.processes.pid(0), signal.SIGSEGV)
        return ("a share of the requests",)

    faults = [replace(cancellation, inject=crash, recovery_s=0.3)]
    workload, contender = find_workload("order-stream"), Contender.parse("pessimistic")
    found = judge(await record(RecordingPlan(workload, contender, seconds=0.5, processes=1, faults=faults)))
    details = [each.detail for each in found if each.rule == "unexpected"]
    assert any(each.startswith("service 0 ended by itself (exit code -11)") for each in details), found


class Process:
    """A process that answers all requests, or none."""

    def __init__(self, type_):
        self.type, self.asked = type_, 0

    async def execute(self, command, wait_s):
        self.asked += 1
        await passed(0.01 if self.type == UNKNOWN else 0.0)
        return Answer(self.type)


async def test_the_last_decisions_have_a_bound(monkeypatch):
    """However many requests are undecided, and however long a try takes: after the time no try begins."""
    monkeypatch.setattr(final_phase, "DECIDE_WAIT_S", 0.05)
    tries = []

    async def decide(client, request, rng):
        for _ in range(6):
            tries.append(request)
            await passed(0.02)
            if sender.stopping:
                break

    undecided = {each.command.request_id: each for each in requests(300)}
    sender = SimpleNamespace(undecided=undecided, decide=decide, stopping=True)
    opened = SimpleNamespace(target=None)
    began_s = time.monotonic()
    assert await FinalPhase(opened, (), sender, None, None)._decide() == 300
    assert time.monotonic() - began_s < 1.0
    assert 0 < len(tries) < 100


async def test_requests_after_the_restart_are_sent_when_the_processes_are_back(monkeypatch):
    """A process that takes longer to start than a fault waits for it is waited for."""
    done = []

    class Processes:
        count = 2

        async def replace(self, number):
            done.append(f"replace {number}")

        async def restore(self):
            done.append("restore")

    async def decide(client, request, rng):
        done.append("decide")

    async def end():
        raise InterruptedError

    sender = SimpleNamespace(after_restart=requests(1), decide=decide, stopping=False)
    final = FinalPhase(SimpleNamespace(target=None), (), sender, None, Processes())
    monkeypatch.setattr(final, "_decide", end)
    with pytest.raises(InterruptedError):
        await final.end(None, None, 1.0)
    assert done == ["replace 0", "replace 1", "restore", "decide"]


@pytest.mark.parametrize(("type_", "some"), [(UNKNOWN, True), (OK, False)])
async def test_looking_for_locks_that_stay_has_a_bound(monkeypatch, type_, some):
    """Of a silent service those rows are named that were asked for in time; of one that answers none."""
    monkeypatch.setattr(leftovers, "NOT_FREE_LIMIT_S", 0.05)
    monkeypatch.setattr(leftovers, "FREE_AFTER_LEASE_S", 0.0)
    process = Process(type_)
    processes = SimpleNamespace(processes=[process], count=1)
    opened = SimpleNamespace(workers=SimpleNamespace(count=0))
    setup = [NAMES.charge(number, f"user-{number}", 10) for number in range(200)]
    found = await LeftoverWatch(opened, processes, setup, {}, 1)._not_free(0.0, {})
    assert bool(found) == some
    assert process.asked == 200 or (type_ == UNKNOWN and process.asked < 100)


HUNG = LabError("service 0 gave no answer in 20 s")


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Counters({}, error="ValueError: a bug"), "has lost its log worker: ValueError: a bug"),
        (HUNG, f"runs and serves nobody: {HUNG}"),
    ],
    ids=["a log worker that has ended", "a process that hangs"],
)
async def test_what_has_failed_in_a_process_that_runs_is_noted_and_started_anew(monkeypatch, reply, error):
    """The recording goes on: what it counts is that of the others, and of the new process."""
    group = ServiceProcesses("service", 1, None)
    (process,) = group.processes
    replies, started = [reply, reply, Counters({"tasks": 3})], []

    async def ask(message, wait_s=0.0):
        found = replies.pop(0)
        if isinstance(found, LabError):
            raise found
        return found

    async def nothing():
        """It is a stand-in."""

    async def start(environment):
        started.append(environment)

    monkeypatch.setattr(ServiceProcess, "running", True)
    for name, double in {"ask": ask, "kill": nothing, "start": start, "resume": nothing}.items():
        monkeypatch.setattr(process, name, double)
    assert await group.counters() == []
    await group.start_failed()
    assert process.errors == [error]
    assert started == [None]
    assert await group.counters() == [Counters({"tasks": 3})]
    found = unexpected.check(IndexedHistory(small(extra=group.noted())))
    assert [each.detail for each in found] == [f"service 0 {error}"]
