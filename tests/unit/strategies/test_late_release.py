"""Lock, transaction, commit, release: a command that is answered before its transaction has ended keeps its locks."""

import asyncio

import pytest

from stockade.core import Guarantees, Stats, Unknown
from stockade.locks.aio import MemoryLocks
from stockade.strategies.in_process import InProcess
from stockade.strategies.late_release import LateReleases
from stockade.strategies.lock_based import LockBased
from tests.store.commands import Take, rid
from tests.waiting import eventually_async

LOCK = "stock:s"


class InMemory(LockBased):
    """A strategy over a lock server, without the server."""

    name = "in-memory"
    guarantees = Guarantees()
    lease_s = 3.0

    def connect(self):
        return MemoryLocks()


class Undecided:
    """A store whose transaction may still be committed when its caller has the answer, until `settled` is set.

    With `hang` it gives no answer, and its caller has to be cancelled.
    """

    supports_pipelining = False
    stats = Stats()

    def __init__(self, hang=False):
        self.hang = hang
        self.began, self.settled = asyncio.Event(), asyncio.Event()

    @property
    def unsettled(self):
        return not self.settled.is_set()

    async def transact(self, commands, guard, *, deadline):
        self.began.set()
        if self.hang:
            await asyncio.Event().wait()
        return [Unknown("the reply to the commit was lost") for _ in commands]

    async def settle(self):
        await self.settled.wait()


async def answered(strategy):
    """Execute a command of the lock, until its caller has an answer or was cancelled."""
    task = asyncio.create_task(strategy.execute(Take(rid(1))))
    await strategy.store.began.wait()
    if strategy.store.hang:
        task.cancel()
    (answer,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(answer, asyncio.CancelledError if strategy.store.hang else Unknown)


async def is_held(strategy):
    return bool((await strategy.locks.inspect(LOCK)).holders)


@pytest.mark.parametrize("hang", [False, True], ids=["unknown", "cancelled"])
@pytest.mark.parametrize("kind", [InMemory, InProcess])
async def test_locks_stay_until_the_transaction_has_ended(kind, hang):
    """The caller has his answer and the lock is held; when the store has settled it is free."""
    strategy = kind(Undecided(hang))
    await strategy.start()
    await answered(strategy)
    assert await is_held(strategy)
    strategy.store.settled.set()

    async def free():
        return not await is_held(strategy)

    await eventually_async(free)
    await strategy.stop()


@pytest.mark.parametrize("kind", [InMemory, InProcess])
async def test_a_release_at_once_is_too_early(kind, monkeypatch):
    """The control: without waiting for the store the lock is free while the transaction may still be committed."""
    monkeypatch.setattr(Undecided, "settle", lambda self: asyncio.sleep(0))
    strategy = kind(Undecided())
    await strategy.start()
    await answered(strategy)

    async def free():
        return not await is_held(strategy)

    await eventually_async(free)
    assert strategy.store.unsettled
    await strategy.stop()


async def test_a_stop_waits_for_late_releases():
    """What was begun is owned: `close` ends after the last release."""
    store, done = Undecided(), []
    late = LateReleases(store)

    async def release():
        done.append("released")

    late.begin(release)
    closing = asyncio.create_task(late.close())
    await asyncio.sleep(0)
    assert not closing.done()
    assert done == []
    store.settled.set()
    await closing
    assert done == ["released"]
