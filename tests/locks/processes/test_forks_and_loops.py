"""A provider in the child of a fork, and in a second event loop: works, or is refused before anything is taken.

Neighbour: `bounds.py` (children that are killed when they hang).
"""

import asyncio
import gc
import threading
import time

import pytest
import redis
import redis.asyncio

from stockade import locks as sync
from stockade.locks import LockReentry, RedisTuning, WrongLoop, aio
from stockade.locks.compat import redis_py
from stockade.locks.compat.threading import Lock as CompatLock
from stockade.locks.compat.threading import RLock as CompatRLock
from stockade.locks.engine.manager import LockManager
from stockade.locks.memory import MemoryBackend
from tests.locks.bounds import in_child
from tests.locks.harness import eventually, work_for
from tests.threads import Running
from tests.waiting import eventually_async

CHILD_S = 20.0
TUNING = RedisTuning(poll_s=0.2)

SYNC = {
    "memory": lambda request: sync.MemoryLocks(),
    "redis": lambda request: sync.RedisLocks(request.getfixturevalue("redis_url"), TUNING),
    "client": lambda request: sync.RedisLocks(redis.Redis.from_url(request.getfixturevalue("redis_url")), TUNING),
    "quorum": lambda request: sync.QuorumLocks(request.getfixturevalue("quorum_urls")),
}
AIO = {
    "memory": lambda request: aio.MemoryLocks(),
    "redis": lambda request: aio.RedisLocks(request.getfixturevalue("redis_url"), TUNING),
    "client": lambda request: aio.RedisLocks(
        redis.asyncio.Redis.from_url(request.getfixturevalue("redis_url")), TUNING
    ),
    "quorum": lambda request: aio.QuorumLocks(request.getfixturevalue("quorum_urls")),
}


def each(makers):
    """One case for each provider, marked as needing a server where it does."""
    return [pytest.param(kind, marks=[pytest.mark.redis] if kind != "memory" else []) for kind in makers]


def busy(locks, stop):
    """A thread that is inside every guard of the provider again and again."""

    def work(number):
        while not stop.is_set():
            lease = locks.lock(f"busy{number % 2}", on_lost="ignore", lease_s=20).acquire(timeout=1)
            if lease is not None:
                lease.release()

    return [Running(work, number) for number in range(3)]


def used(locks):
    """The whole life of a lock in the child, with a waiter in a thread of it."""
    with locks.lock("childs", lease_s=20).hold(timeout=3):
        waiter = Running(lambda: locks.lock("childs", lease_s=20).acquire(timeout=5))
    lease = waiter.result(8)
    if lease is None:
        return "no hand-over"
    lease.release()
    return "works"


@pytest.mark.parametrize("kind", each(SYNC))
def test_forked_while_threads_are_inside(request, kind):
    """Forked 20 times while three threads use the provider and the forking one holds a lock: each child works."""
    locks, stop = SYNC[kind](request), threading.Event()
    held = locks.lock("parents", on_lost="ignore", lease_s=20).acquire(timeout=5)
    threads = busy(locks, stop)
    try:
        for _ in range(20):
            assert in_child(CHILD_S, lambda: used(locks)) == repr("works")
    finally:
        stop.set()
        for thread in threads:
            thread.result(5)
    assert held.alive
    held.release()
    assert not held.lost_reason  # no child has given it back
    locks.close()


def left_the_block(locks, held):
    """The child leaves its parent's block, and looks at what it holds."""
    held.__exit__(None, None, None)
    locks.lock("parents").owned()
    return held.alive, locks.lock("parents").owned()


@pytest.mark.redis
def test_a_child_gives_nothing_back_that_is_its_parents(redis_url):
    """The end of a block that began before the fork, reached in the child: the parent's lock stays the parent's."""
    with sync.RedisLocks(redis_url) as locks:
        with locks.lock("parents", on_lost="ignore").hold(timeout=3) as held:
            assert in_child(CHILD_S, lambda: left_the_block(locks, held)) == repr((False, False))
            with sync.RedisLocks(redis_url) as other:
                assert other.lock("parents").try_acquire() is None
        assert not held.lost_reason


@pytest.mark.redis
def test_the_control_that_forgets_nothing_gives_it_back(redis_url, monkeypatch):
    """Without forgetting the parent, its lock is given back by the child."""
    monkeypatch.setattr(LockManager, "reset_in_child", lambda self: None)
    with sync.RedisLocks(redis_url) as locks, locks.lock("parents", on_lost="ignore").hold(timeout=3) as held:
        in_child(CHILD_S, lambda: left_the_block(locks, held))
        with sync.RedisLocks(redis_url) as other:
            other.lock("parents").try_acquire().release()


def test_the_control_that_keeps_the_guard_hangs(monkeypatch):
    """Memory locks forked while a thread has the guard, and nothing renewed: the child hangs."""
    monkeypatch.setattr(MemoryBackend, "reset_in_child", lambda self: None)
    locks, inside, stop = sync.MemoryLocks(), threading.Event(), threading.Event()

    def hold_the_guard():
        with locks.backend._guard:
            inside.set()
            stop.wait(20)

    thread = Running(hold_the_guard)
    assert inside.wait(5)
    try:
        with pytest.raises(AssertionError, match="a hang"):
            in_child(3.0, lambda: used(locks))
    finally:
        stop.set()
        thread.result(5)


def test_compat_locks_after_a_fork():
    """The child holds nothing of its parent's `Lock` and `RLock`, and may take both."""
    locks = sync.MemoryLocks()
    lock, again = CompatLock(locks, "lock"), CompatRLock(locks, "again")
    lock.acquire()
    again.acquire()

    def child():
        free = (lock.acquire(timeout=1), again.acquire(timeout=1), again._recursion_count())
        lock.release()
        again.release()
        return free

    assert in_child(CHILD_S, child) == repr((True, True, 1))
    lock.release()
    again.release()


@pytest.mark.redis
def test_the_drop_in_after_a_fork(redis_url):
    """redis-py's lock with our scripts, on a client that was used before the fork."""
    client = redis.Redis.from_url(redis_url)
    first = client.lock("one", timeout=20, lock_class=redis_py.Lock)
    assert first.acquire()

    def child():
        mine = client.lock("two", timeout=20, lock_class=redis_py.Lock)
        return mine.acquire(blocking_timeout=2), mine.release()

    assert in_child(CHILD_S, child) == repr((True, None))
    first.release()
    client.close()


async def visit(locks):
    """The whole life of a lock, with a waiter; a lease is left to its task's end."""
    async with locks.lock("a", lease_s=20).hold(timeout=3):
        waiter = asyncio.create_task(locks.lock("a", lease_s=20).acquire(timeout=5))
        await asyncio.sleep(0)
        await locks.inspect("a")
    await (await waiter).release()


@pytest.mark.parametrize("kind", each(AIO))
def test_one_loop_after_another(request, kind):
    """`asyncio.run` four times with one provider, as in a test suite or a task queue."""
    locks = AIO[kind](request)
    for _ in range(4):
        asyncio.run(visit(locks))

    async def end():
        await visit(locks)
        await locks.close()

    asyncio.run(end())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # redis-py's calls of the orphan
@pytest.mark.parametrize("kind", each(AIO))
def test_a_lease_outlives_its_loop(request, kind):
    """A lease that its loop has left: the next loop renews it and may release it, and an orphaned waiter is ignored."""
    locks, kept = AIO[kind](request), []

    async def take():
        kept.append(await locks.lock("a", lease_s=0.6, on_lost="ignore").acquire(timeout=3))
        orphan = asyncio.ensure_future(locks.lock("a").acquire())
        await asyncio.sleep(0)
        assert not orphan.done()

    async def give_back():
        await visit_other(locks)
        await work_for(1.0)  # longer than its lease
        assert kept[0].alive
        await kept[0].release()
        async with locks.lock("a").hold(timeout=3):
            pass
        await locks.close()

    asyncio.run(take())
    asyncio.run(give_back())
    gc.collect()  # so that they warn here


async def visit_other(locks):
    async with locks.lock("b").hold(timeout=3):
        pass


IN_USE = [("memory", "holds")]  # one provider is the whole world of memory locks, so nobody waits for another
IN_USE += [pytest.param(kind, what, marks=pytest.mark.redis) for kind in list(AIO)[1:] for what in ("holds", "waits")]


class Elsewhere:
    """A second event loop, in a thread."""

    def __enter__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        return self

    async def cancel_all(self):
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    def __exit__(self, *exc):
        self.run(self.cancel_all())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        self.loop.close()


@pytest.mark.parametrize(("kind", "what"), IN_USE)
def test_refused_while_the_first_loop_is_in_use(request, kind, what):
    """Every call from another loop is refused while the first one holds or awaits something; nothing is taken; then it
    works.
    """
    locks = AIO[kind](request)
    blocker = AIO[kind](request) if kind != "memory" else locks

    async def begin():
        if what == "holds":
            return await locks.lock("a", on_lost="ignore", lease_s=20).acquire(timeout=3)
        held = await blocker.lock("a", on_lost="ignore", lease_s=20).acquire(timeout=3)
        waiter = asyncio.create_task(locks.lock("a", lease_s=20).acquire(timeout=8))
        await eventually(lambda: locks.manager.calls.count.running)
        return held, waiter

    async def end(held):
        if what == "holds":
            await held.release()
        else:
            await held[0].release()
            await (await held[1]).release()

    async def use():
        async with locks.lock("b", lease_s=20).hold(timeout=3):
            pass

    with Elsewhere() as first, Elsewhere() as second:
        held = first.run(begin())
        calls = (
            lambda: locks.lock("b").acquire(timeout=1),
            lambda: locks.lock("b").try_acquire(),
            lambda: locks.inspect("a"),
            lambda: locks.break_("a"),
            lambda: locks.multi("b", "c").acquire(timeout=1),
            locks.close,
        )
        for call in calls:
            with pytest.raises(WrongLoop, match="another event loop"):
                second.run(call())
        if what == "holds":
            with pytest.raises(WrongLoop):
                second.run(held.release())
        if kind != "memory":
            with redis.Redis.from_url(request.getfixturevalue("redis_url")) as server:
                assert not server.exists("stockade:b")
        first.run(end(held))
        second.run(use())
        second.run(locks.close())
        if blocker is not locks:
            first.run(blocker.close())


async def waiters(locks):
    return (await locks.inspect("a")).waiters


@pytest.mark.redis
def test_the_second_loop_hears_notices(redis_url):
    """A waiter of the second loop is woken by a notice, not only by asking again."""
    locks = aio.RedisLocks(redis_url, RedisTuning(poll_s=5.0))
    asyncio.run(visit(locks))

    async def hand_over():
        other = aio.RedisLocks(redis_url)
        held = await other.lock("a").acquire(timeout=3)
        waiter = asyncio.create_task(locks.lock("a").acquire(timeout=8))
        await eventually_async(lambda: waiters(other))
        started = time.monotonic()
        await held.release()
        await (await waiter).release()
        await other.close()
        await locks.close()
        return time.monotonic() - started

    assert asyncio.run(hand_over()) < 2.0


@pytest.mark.redis
def test_a_child_uses_an_asyncio_provider(redis_url):
    """Used in the parent's loop before, in the child's own loop afterwards; the parent goes on."""
    locks = aio.RedisLocks(redis_url, TUNING)
    asyncio.run(visit(locks))
    assert in_child(CHILD_S, lambda: asyncio.run(visit(locks))) == "None"

    async def end():
        await visit(locks)
        await locks.close()

    asyncio.run(end())


def test_one_thread_still_reenters_what_it_holds():
    """The control of the refusals: in one loop a second acquire is a reentry, not a wrong loop."""

    async def twice():
        async with aio.MemoryLocks() as locks, locks.lock("a"):
            with pytest.raises(LockReentry):
                await locks.lock("a").acquire(timeout=1)

    asyncio.run(twice())
