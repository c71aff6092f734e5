"""Renewal outlives every error: of one lease, of a listener, of a cancelled or dead job; each lease goes by itself.

Neighbours: `simulator/test_mutants.py` (renewals that do too much), `contract/test_contract.py` (that a lease is
renewed at all).
"""

import asyncio
import logging
import threading

import pytest
import redis

from stockade import locks as sync
from stockade.locks import LockError, LockUnavailable, aio
from stockade.locks.engine.renewal import Renewer
from stockade.locks.memory import MemoryBackend
from stockade.locks.runtime.sync_runtime import run
from tests.locks.harness import TaskActor, ThreadActor, eventually, work_for
from tests.threads import Running
from tests.waiting import eventually as polled

LEASE_S = 0.4
LONG_S = 3 * LEASE_S  # longer than any lease that nobody renews


@pytest.fixture(params=["aio", "sync"])
async def actor(request):
    """A task or a thread."""
    made = TaskActor() if request.param == "aio" else ThreadActor()
    made.face = aio if request.param == "aio" else sync
    yield made
    await made.close()


@pytest.fixture
async def memory(actor):
    """Locks in memory with leases, which are renewed as any others are."""
    locks = await actor(actor.face.MemoryLocks)
    yield locks
    await actor(locks.close)


async def held(actor, locks, name):
    return await actor(locks.lock(name, lease_s=LEASE_S, on_lost="ignore").acquire, timeout=3)


def set_due(renewer, lease, when):
    """The lease is renewed at `when`."""
    renewer._entries[lease.token].due = when


@pytest.fixture(params=[True, False], ids=["apart", "control"])
def apart(request, monkeypatch):
    """False: the control, in which a refused batch is not renewed lease by lease."""
    if not request.param:

        async def nothing(self, leases):
            for lease in leases:
                self._retry_soon(lease, "refused")

        monkeypatch.setattr(Renewer, "_renew_one_by_one", nothing)
        monkeypatch.setattr(Renewer, "_retry_soon", lambda self, lease, why: set_due(self, lease, lease.deadline))
    return request.param


@pytest.mark.redis
async def test_a_refused_lease_costs_the_others_nothing(redis_url, actor, apart):
    """One key becomes a list: its lease ends, those renewed in the same batch and those taken later go on."""
    locks = actor.face.RedisLocks(redis_url, lease_s=LEASE_S)
    good, bad = await held(actor, locks, "good"), await held(actor, locks, "bad")
    with redis.Redis.from_url(redis_url) as server:
        server.delete("stockade:bad")
        server.rpush("stockade:bad", "x")
        for lease in (good, bad):  # in one batch
            set_due(locks.manager.renewer, lease, locks.runtime.now())
        await work_for(LONG_S)
        kept, lost = good.alive, not bad.alive
        assert kept is apart
        assert lost
        server.delete("stockade:bad")
    if apart:
        later = await held(actor, locks, "later")
        await work_for(LONG_S)
        assert later.alive
    await actor(locks.close)


class Broken(Exception):
    """An error that no code expects."""


@pytest.mark.parametrize("error", [Broken("x"), LockError("x"), SystemExit(3)], ids=lambda error: type(error).__name__)
async def test_any_error_of_the_backend_is_outlived(actor, memory, monkeypatch, error):
    """A question to the backend fails in an unexpected way, several times: the leases are kept, also a later one."""
    extend, fails = MemoryBackend.extend, [error] * 3

    async def failing(self, asks, timeout_s):
        if fails:
            raise fails.pop()
        return await extend(self, asks, timeout_s)

    monkeypatch.setattr(MemoryBackend, "extend", failing)
    leases = [await held(actor, memory, name) for name in "ab"]
    await work_for(LONG_S)
    assert fails == []
    assert all(lease.alive for lease in leases)
    assert (await held(actor, memory, "c")).alive


async def test_silence_for_one_round_costs_nobody_his_lease(actor, memory, monkeypatch):
    """In the round lease by lease the server stops answering: the round ends, and all leases are kept."""
    extend, fails, asked = MemoryBackend.extend, [LockError("refused"), LockUnavailable("silent")], []

    async def failing(self, asks, timeout_s):
        asked.append(len(asks))
        if fails:
            raise fails.pop(0)
        return await extend(self, asks, timeout_s)

    leases = [await held(actor, memory, name) for name in "abc"]
    for lease in leases:  # in one batch
        set_due(memory.manager.renewer, lease, memory.runtime.now())
    monkeypatch.setattr(MemoryBackend, "extend", failing)
    await work_for(LONG_S)
    assert fails == []
    assert asked[:2] == [3, 1]  # then no other of that batch
    assert all(lease.alive for lease in leases)


async def test_a_listener_may_do_what_it_likes(actor, memory, caplog):
    """A listener and an on_lost callback raise, even SystemExit: the others are kept, and it is said in the log."""
    fails = [SystemExit(3), Broken("x")]

    def listener(event):
        if event.kind == "renewed" and fails:
            raise fails.pop()

    def lost(lease):
        raise SystemExit(4)

    memory.on_event(listener)
    kept, broken = await held(actor, memory, "kept"), await held(actor, memory, "broken")
    broken.on_lost(lost)
    await eventually(lambda: not fails)
    await actor(memory.break_, "broken")
    with caplog.at_level(logging.CRITICAL):
        await work_for(LONG_S)
    assert broken.lost
    assert kept.alive


async def test_a_cancelled_renewal_begins_anew():
    """Every task of the loop is cancelled but the holder's, as some shutdowns do: its lease is kept."""
    async with aio.MemoryLocks() as locks:
        lease = await locks.lock("a", lease_s=LEASE_S, on_lost="ignore").acquire()
        await asyncio.sleep(0)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert others
        for task in others:
            task.cancel()
        await work_for(LONG_S)
        assert lease.alive


async def test_the_control_without_a_new_beginning_loses_it(monkeypatch):
    """The same, with a job that does not begin anew."""
    monkeypatch.setattr(Renewer, "_needed", lambda self: False)
    async with aio.MemoryLocks() as locks:
        lease = await locks.lock("a", lease_s=LEASE_S, on_lost="ignore").acquire()
        await asyncio.sleep(0)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await work_for(LONG_S)
        assert not lease.alive


def test_a_dead_thread_is_replaced(monkeypatch):
    """The renewal thread dies as no error can be caught in it: another one goes on while the lease is held."""

    class Death(BaseException):
        pass

    step, died = Renewer._step, threading.Event()

    async def deadly(self, ticket):
        if not died.is_set():
            died.set()
            raise Death
        return await step(self, ticket)

    monkeypatch.setattr(threading, "excepthook", lambda args: None)
    monkeypatch.setattr(Renewer, "_step", deadly)
    with sync.MemoryLocks() as locks:
        lease = locks.lock("a", lease_s=LEASE_S, on_lost="ignore").acquire()
        assert died.wait(5)
        lease.wait_lost(LONG_S)
        assert lease.alive


async def test_a_dying_lease_does_not_cut_the_others_short(actor, memory, monkeypatch):
    """A batch with a lease that ends in a moment: the question gets time for an answer all the same."""
    limits, extend = [], MemoryBackend.extend

    async def noted(self, asks, timeout_s):
        limits.append(timeout_s)
        return await extend(self, asks, timeout_s)

    leases = [await held(actor, memory, name) for name in "ab"]
    monkeypatch.setattr(MemoryBackend, "extend", noted)
    leases[0].deadline = memory.runtime.now() + 0.001
    await actor(
        memory.manager.renewer._renew if actor.face is aio else lambda given: run(memory.manager.renewer._renew(given)),
        leases,
    )
    assert min(limits) >= 0.1


@pytest.mark.parametrize("end", ["release", "detach"])
def test_a_lease_that_ends_well_is_not_lost(end):
    """No callback of a loss is called; a caller that waits for one gets an error."""
    with sync.MemoryLocks() as provider:
        lease = provider.lock("a").acquire()
        lost = []
        lease.on_lost(lost.append)
        waiting = [Running(lease.wait_lost, 20) for _ in range(3)]
        polled(lambda: len(lease._loss_wakeups) == 3)
        getattr(lease, end)()
        assert (lost, [each.result(10) for each in waiting]) == ([], [False] * 3)


def test_waits_that_are_over_leave_nothing_in_the_lease():
    """A loop of short waits for a loss keeps no memory."""
    with sync.MemoryLocks() as provider, provider.lock("a").hold() as lease:
        for _ in range(3):
            assert lease.wait_lost(0.001) is False
        assert not lease._loss_wakeups
