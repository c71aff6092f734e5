"""Lock, transaction, commit, release: a command that is answered before its transaction has ended keeps its locks."""

import asyncio
import time

import pytest

from stockade.core import Guarantees, Stats, Unknown
from stockade.locks import LockUnavailable
from stockade.locks.aio import MemoryLocks
from stockade.strategies import late_release
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


class Failing(Undecided):
    """A store that cannot say when it has settled."""

    async def settle(self):
        raise ConnectionError("nobody is there")


async def released_late(store, release=None):
    """What a late release over this store did, until it is closed."""
    done = []

    async def usual():
        done.append("released")

    late = LateReleases(store)
    late.begin(release or usual)
    async with asyncio.timeout(2):
        await late.close()
    return done


async def test_the_release_happens_whatever_settle_raises(caplog):
    """A lock that nobody releases would stay for ever; that the store failed is logged once."""
    assert await released_late(Failing()) == ["released"]
    assert ["nobody is there" in each.getMessage() for each in caplog.records] == [True]


async def test_an_error_of_a_late_release_is_logged(caplog):
    """Nobody waits for it, and it must not be lost."""

    async def fails():
        raise LockUnavailable("no answer")

    assert await released_late(Failing(), fails) == []
    assert "no answer" in caplog.text


async def test_a_stop_is_bounded(monkeypatch, caplog):
    """A store that never settles keeps no strategy from its end: its locks are released, and that is logged."""
    monkeypatch.setattr(late_release, "CLOSE_WAIT_S", 0.01)
    assert await released_late(Undecided()) == ["released"]
    assert "have not ended: 1" in caplog.text


class Noted(InMemory):
    """Notes how long its releases may take."""

    deadline = None

    async def _release(self, lease, deadline):
        self.deadline = deadline
        await lease.release()


@pytest.mark.parametrize("cancelled", [True, False])
async def test_a_caller_who_is_cancelled_waits_for_no_deadline(cancelled):
    """His release has the grace from now on; that of an unknown outcome until the deadline of the command."""
    store = Undecided(hang=cancelled)
    store.settled.set()  # nothing is under way: the release is not a late one
    strategy = Noted(store)
    await strategy.start()
    await answered(strategy)
    assert (strategy.deadline <= time.monotonic()) is cancelled
    await strategy.stop()
