"""Sending: a request without a decision is sent again with its id, at another process, a bounded number of times."""

import asyncio
import itertools
import random
from dataclasses import replace

import pytest

from stockade.lab.errors import LabError
from stockade.lab.execution.processes.answers import Answer
from stockade.lab.history.operation import FAILED, OK, UNKNOWN
from stockade.lab.model.burst import RepeatNames
from stockade.lab.recording import sending
from stockade.lab.recording.load import LoadGenerator
from stockade.lab.recording.load_control import LoadSettings
from stockade.lab.recording.recorder import Recorder
from stockade.lab.recording.sending import TRIES, Sender
from stockade.lab.workloads.workload import Request

NAMES = RepeatNames("7", 0, 0, 0, 1_000)


class Process:
    """A process that answers what it is told to."""

    def __init__(self, name, answers, running=True):
        self.name, self.answers, self.running = name, answers, running
        self.given_up = []

    async def execute(self, command, wait_s, *, give_up_s=0.0):
        self.given_up.append(give_up_s)
        return self.answers.pop(0) if self.answers else Answer(OK)


class Processes:
    def __init__(self, *processes):
        self.processes, self.count = processes, len(processes)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr(sending, "FIRST_PAUSE_S", 0.0)


def sender(*processes, **settings):
    recorder = Recorder()
    return Sender(Processes(*processes), recorder, LoadSettings(7, **settings), ()), recorder


def request(number=0):
    return Request(NAMES.charge(number, "user", 10), {"points:user": 10})


async def test_unknown_is_sent_again_to_another_process():
    """Each try is an operation of its own, with the same request id, at the next process."""
    sends, recorder = sender(Process("a", [Answer(UNKNOWN, "OUTCOME_UNKNOWN")]), Process("b", []))
    assert await sends.decide(0, request(), random.Random(1))
    tries = recorder.operations()
    assert [(each.process, each.type) for each in tries] == [("a", UNKNOWN), ("b", OK)]
    assert len({each.request_id for each in tries}) == 1
    assert tries[0].deltas == {"points:user": 10}
    assert not sends.undecided


async def test_tries_are_bounded_and_what_is_unknown_is_kept():
    """A request that nobody decides is kept for the end, also one that certainly did not happen."""
    sends, recorder = sender(Process("a", [Answer(UNKNOWN)] + [Answer(FAILED, "LOCK_TIMEOUT")] * 20))
    assert not await sends.decide(0, request(), random.Random(1))
    assert len(recorder) == TRIES
    assert list(sends.undecided) == [request().command.request_id]
    assert not await sends.decide(0, request(1), random.Random(1))
    assert len(sends.undecided) == 2
    for number in range(2):
        assert await sends.decide(0, request(number), random.Random(1), tries=20)
    assert not sends.undecided
    assert sends.used == {"points:user": request(1).command}


async def test_an_id_is_used_again_once_its_request_is_decided():
    """The other content is sent once, later, and that it was refused is a decision."""
    reused = Answer(FAILED, "IDEMPOTENCY_KEY_REUSED")
    sends, recorder = sender(Process("a", [Answer(OK)] * 50 + [reused]), read_share=0.0)
    other = request()._replace(reuse=replace(request().command, fingerprint="other"))
    for number in range(60):
        await sends.send(0, other if not number else request(number), random.Random(1))
    tries = [each for each in recorder.operations() if each.request_id == request().command.request_id]
    assert [(each.fingerprint == "other", each.code) for each in tries] == [(False, ""), (True, reused.code)]
    assert not sends.undecided


async def test_a_process_that_is_away_gets_nothing():
    """As behind a load balancer: the next process that runs gets the request."""
    sends, recorder = sender(Process("a", [], running=False), Process("b", []))
    assert await sends.decide(0, request(), random.Random(1))
    assert [each.process for each in recorder.operations()] == ["b"]


@pytest.mark.parametrize("seed", range(3))
async def test_duplicates_are_sent_at_once_later_or_after_the_restart(seed):
    """With a share of 1 each request is sent twice sooner or later, and nothing is sent a third time."""
    sends, recorder = sender(Process("a", []), Process("b", []), duplicate_share=1.0, read_share=0.0)
    rng = random.Random(seed)
    for number in range(100):
        await sends.send(0, request(number), rng)
    counts = {}
    for each in recorder.operations():
        counts[each.request_id] = counts.get(each.request_id, 0) + 1
    assert set(counts.values()) == {1, 2}
    assert 10 < len(sends.after_restart) < 60
    assert all(counts[each.command.request_id] == 1 for each in sends.after_restart)


async def test_a_share_of_the_requests_is_given_up():
    """Clients give up as often as a fault says, within their patience."""
    process = Process("a", [])
    sends, _ = sender(process)
    await sends.decide(0, request(), random.Random(1))
    sends._settings.set_cancel_share(1.0)
    await sends.decide(0, request(1), random.Random(1))
    assert process.given_up[0] == 0.0 < process.given_up[1] < 0.1


async def test_open_loop_counts_what_could_not_be_sent():
    """More is offered than two clients can send: what was not sent is counted, and nothing is dropped in silence."""
    answered = asyncio.Event()

    class Slow(Process):
        async def execute(self, command, wait_s, *, give_up_s=0.0):
            await answered.wait()
            return Answer(OK)

    sends, recorder = sender(Slow("a", []), rate=10_000.0, clients=2, read_share=0.0)
    load = LoadGenerator(map(request, itertools.count()), sends, sends._settings)
    stop = asyncio.Event()
    running = asyncio.create_task(load.run(stop))
    async with asyncio.timeout(5):
        while load.offered.not_sent < 10:
            await asyncio.sleep(0)
        stop.set()
        while not sends.stopping:  # what is due until then is offered, and not sent
            await asyncio.sleep(0)
        answered.set()
        await running
    assert load.offered.offered - load.offered.not_sent == len(recorder) == 2


@pytest.mark.parametrize("rate", [0.0, 10_000.0])
async def test_a_workload_that_ends_is_no_workload(rate):
    """Without load the rate could not come back, and the strategy would be accused of it."""
    sends, _ = sender(Process("a", []), rate=rate, clients=2, read_share=0.0)
    load = LoadGenerator(map(request, range(10)), sends, sends._settings)
    async with asyncio.timeout(5):
        with pytest.raises(LabError, match="no more requests"):
            await load.run(asyncio.Event())


async def test_a_fault_multiplies_the_clients_and_takes_them_back():
    """A factor of 3 makes three times the clients; a factor of 1 ends the additional ones."""
    sends, recorder = sender(Process("a", []), clients=2, read_share=0.0)
    load = LoadGenerator(map(request, itertools.count()), sends, sends._settings)
    sends._settings.set_rate_factor(3.0)
    stop = asyncio.Event()

    async def clients_of_the_next(count):
        seen = len(recorder)
        async with asyncio.timeout(5):
            while len(recorder) < seen + count:
                await asyncio.sleep(0)
        return {each.client for each in recorder.operations()[seen + count // 2 :]}

    async def execute(command, wait_s, *, give_up_s=0.0):
        await asyncio.sleep(0)
        return Answer(OK)

    sends._processes.processes[0].execute = execute
    running = asyncio.create_task(load.run(stop))
    assert await clients_of_the_next(200) == set(range(6))
    sends._settings.set_rate_factor(1.0)
    await clients_of_the_next(20)
    assert await clients_of_the_next(200) == {0, 1}
    stop.set()
    await running
