"""A service process without a process: what it says about a command, and about a burst."""

import asyncio
from contextlib import AsyncExitStack
from types import SimpleNamespace

import pytest

from stockade.core import Accepted, Busy, Stats
from stockade.lab.errors import LabError
from stockade.lab.execution.load import send_all
from stockade.lab.execution.processes.messages import BeginBurst, Close, Execute, Failed, LoadBurst
from stockade.lab.execution.processes.service_main import _Handler


@pytest.mark.parametrize(("lost", "in_doubt"), [(0, False), (1, True)])
async def test_a_commit_whose_reply_was_lost_meanwhile_is_told(lost, in_doubt):
    """A replayed decision may be its own then; what was lost before it began says nothing."""
    stats = Stats(unknown=7)

    async def execute(command):
        stats.unknown += lost
        return Accepted({}, {}, replayed=True)

    answer = await carried_out(execute, stats)
    assert (answer.type, answer.replayed, answer.in_doubt) == ("ok", True, in_doubt)


async def test_a_failure_has_no_doubt():
    """It says that nothing happened."""

    async def execute(command):
        raise Busy("full")

    answer = await carried_out(execute, Stats())
    assert (answer.type, answer.in_doubt) == ("failed", False)


async def test_the_most_in_a_queue_is_kept_until_it_is_begun_anew():
    """Several ask for the counters: none of them takes what was seen from the others."""
    handler = _Handler(None)
    database = SimpleNamespace(waiting=0)
    handler._service = SimpleNamespace(queued=7, database=database, store=SimpleNamespace(stats=Stats()))
    handler._count()
    handler._service.queued = 1
    assert [handler._count().highest["queued"] for _ in range(2)] == [7, 7]
    handler._count(begin_anew=True)
    assert handler._count().highest["queued"] == 1


class Sender:
    """An order sender that nobody answers, or that fails before its buyers are there."""

    def __init__(self, error=None):
        self.error, self.called = error, asyncio.Event()

    async def send(self, commands, *, submit, barrier):
        if self.error is not None:
            raise self.error
        return await send_all(self.execute, commands, barrier)

    async def execute(self, command):
        self.called.set()
        await asyncio.Event().wait()


async def test_a_burst_that_fails_before_its_buyers_are_there_says_why():
    """Nobody waits for a barrier that they do not reach."""
    handler = _Handler(None)
    handler._sender = Sender(ValueError("no payer"))
    async with asyncio.timeout(5):
        with pytest.raises(ValueError, match="no payer"):
            await handler._carry_out(LoadBurst(()))


async def test_a_barrier_that_fails_is_the_error_and_leaves_no_buyer():
    """Not a group of errors, which a caller does not look for."""
    before = asyncio.all_tasks()

    async def broken():
        raise LabError("another process has ended")

    with pytest.raises(LabError, match="another process has ended"):
        await send_all(Sender().execute, [None, None], broken)
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("begun", [False, True])
async def test_a_burst_that_is_closed_is_answered_and_leaves_no_buyer(begun):
    """A second one does not take its place."""
    replies, before = [], asyncio.all_tasks()
    handler = _Handler(AsyncExitStack())
    handler._sender = Sender()
    handler.channel = SimpleNamespace(send=lambda number, reply: replies.append(reply))
    burst = LoadBurst((SimpleNamespace(request_id="1"),))
    await handler._carry_out(burst)
    with pytest.raises(AssertionError, match="in the middle of a burst"):
        await handler._carry_out(burst)
    if begun:
        handler.received(1, BeginBurst())
        await handler._sender.called.wait()
    await handler._carry_out(Close())
    await asyncio.gather(*handler._tasks.values())
    assert replies == [Failed("RuntimeError: the burst was cancelled")] * begun
    assert asyncio.all_tasks() == before


async def carried_out(execute, stats):
    """The answer of a process whose service is this one."""
    handler = _Handler(None)
    handler._service = SimpleNamespace(
        execute=execute, store=SimpleNamespace(stats=stats), queued=0, database=SimpleNamespace(waiting=0)
    )
    return await handler._execute(Execute(SimpleNamespace(keys=())))
