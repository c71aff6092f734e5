"""The watches of a recording: one that fails ends the recording, because what it would have seen was not seen."""

import itertools
from types import SimpleNamespace

import pytest

from stockade.lab.execution.processes.messages import Counters
from stockade.lab.recording.watches import lateness
from stockade.lab.recording.watches.lateness import LatenessWatch
from stockade.lab.recording.watches.leftovers import LeftoverWatch
from tests.waiting import eventually_async


def leftover_watch(*processes, workers=()):
    """Of a recording with these processes."""
    groups = [SimpleNamespace(processes=some, count=len(some)) for some in (processes, workers)]
    return LeftoverWatch(SimpleNamespace(workers=groups[1]), groups[0], (), {}, 1)


class Process:
    """A process that counts, or cannot."""

    def __init__(self, counters=None):
        self.counters, self.asked = counters, 0

    async def ask(self, message, wait_s):
        self.asked += 1
        if self.counters is None:
            raise ValueError("a bug of the lab")
        return self.counters


async def asked(*processes):
    async def all_asked():
        return all(each.asked for each in processes)

    await eventually_async(all_asked)


async def test_a_watch_of_queues_that_fails_is_not_silent():
    """Otherwise the queues would count as watched."""
    process = Process()
    with pytest.raises(ValueError, match="a bug of the lab"):
        async with leftover_watch(process).sampling():
            await asked(process)


async def test_a_watch_of_lateness_that_fails_is_not_silent(monkeypatch):
    """Otherwise no lateness would be subtracted."""

    class Group:
        asked = 0

        @property
        def count(self):
            self.asked += 1
            if self.asked > 1:
                raise ValueError("a bug of the lab")
            return 0

    async def failed(group):
        async def has_failed():
            return group.asked > 1

        await eventually_async(has_failed)

    async def watch(group):
        async with LatenessWatch([group]).watching():
            await failed(group)

    monkeypatch.setattr(lateness, "SAMPLE_S", 0.0)
    with pytest.raises(ValueError, match="a bug of the lab"):
        await watch(Group())


async def test_lateness_is_noted_by_process(monkeypatch):
    """One that keeps a processor for itself is not excused by those that wait for it."""
    waited = itertools.chain([0], itertools.repeat(500_000_000))

    def waited_ns(pid):
        return next(waited) if pid == 2 else 0

    monkeypatch.setattr(lateness, "SAMPLE_S", 0.0)
    monkeypatch.setattr(lateness, "_waited_ns", waited_ns)
    watch = LatenessWatch([SimpleNamespace(name="service", count=2, pid=lambda number: number + 1)])
    async with watch.watching():

        async def noted():
            return [waits for *_, waits in watch.found if waits]

        assert await eventually_async(noted) == [{"service 1": 500_000_000}]


async def test_the_most_is_kept_of_log_workers_too_and_between_two_samples():
    """A queue is full for moments only: its process has kept that."""
    process, worker = Process(Counters({"queued": 1}, {"queued": 7})), Process(Counters({"requests": 3}))
    watch = leftover_watch(process, workers=[worker])
    async with watch.sampling():
        await asked(process, worker)
    assert watch._highest == {"queued": 7, "waiting for a connection": 0, "requests": 3}
