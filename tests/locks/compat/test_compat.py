"""The drop-in replacements: what our redis-py locks promise beyond redis-py's, and CPython's own lock tests.

Neighbour: `test_upstream.py` runs redis-py's tests.
"""

import asyncio
import importlib
import threading
import unittest

import pytest
import redis
import redis.asyncio
from redis.exceptions import LockNotOwnedError

from stockade import locks as sync
from stockade.locks import LockUnavailable
from stockade.locks.compat import threading as compat
from stockade.locks.compat.redis_py import AsyncLock, Lock
from stockade.locks.runtime.sync_runtime import run
from tests.waiting import eventually as eventually_sync

pytestmark = pytest.mark.redis


class Both:
    """redis-py's lock on either face: `await both(lock.acquire())`."""

    def __init__(self, client, lock_class):
        self.client = client
        self.lock_class = lock_class

    def lock(self, *args, **kwargs):
        return self.client.lock(*args, lock_class=self.lock_class, **kwargs)

    async def __call__(self, result):
        return await result if asyncio.iscoroutine(result) else result


@pytest.fixture(params=["sync", "asyncio"])
async def both(request, redis_url):
    """A client of each kind."""
    if request.param == "sync":
        with redis.Redis.from_url(redis_url) as client:
            yield Both(client, Lock)
    else:
        async with redis.asyncio.Redis.from_url(redis_url) as client:
            yield Both(client, AsyncLock)


@pytest.fixture
def server(redis_url):
    """The server as an onlooker sees it."""
    with redis.Redis.from_url(redis_url) as client:
        yield client


async def test_works_beside_redis_pys_own_lock(both, server):
    """Both kinds exclude each other."""
    theirs = server.lock("foo", timeout=5)
    assert theirs.acquire()
    ours = both.lock("foo", timeout=5, sleep=0.01)
    assert not await both(ours.acquire(blocking_timeout=0.03))
    theirs.release()
    assert await both(ours.acquire(blocking_timeout=1))
    assert not theirs.acquire(blocking=False)
    await both(ours.release())


async def test_an_unanswered_release_can_be_called_again(both, server, monkeypatch):
    """The server does not answer a release: its error is redis-py's, the token is kept, the next call gives back."""
    lock = both.lock("foo", timeout=10)
    assert await both(lock.acquire())
    call = lock._transport.call

    async def silent(*parts, timeout_s):
        raise LockUnavailable("no answer") from redis.exceptions.TimeoutError("no answer")

    monkeypatch.setattr(lock._transport, "call", silent)
    with pytest.raises(redis.exceptions.TimeoutError):
        await both(lock.release())
    monkeypatch.setattr(lock._transport, "call", call)
    await both(lock.release())
    assert not server.exists("foo")


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, redis.exceptions.TimeoutError])
def test_an_interrupted_acquire_leaves_no_key(server, monkeypatch, error):
    """Ctrl-C just after the key was set, or its reply lost: the key is taken back (redis-py: it stays for ever)."""
    lock = server.lock("foo", lock_class=Lock)
    do_acquire = lock.do_acquire

    def interrupted(token):
        assert do_acquire(token)
        raise error

    monkeypatch.setattr(lock, "do_acquire", interrupted)
    with pytest.raises(error):
        lock.acquire()
    if error is not redis.exceptions.TimeoutError:  # after a Ctrl-C the process may end before the background has begun
        assert not server.exists("foo")
    eventually_sync(lambda: not server.exists("foo"))


async def test_cancelled_acquire_leaves_no_key(redis_url, server):
    """redis-py leaves a key in 17 to 22 % of cancelled acquires, for ever without a timeout; here: none of 300."""
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        await client.ping()
        cancelled = 0
        for step in range(300):
            lock = client.lock("foo", timeout=30, lock_class=AsyncLock)
            task = asyncio.create_task(lock.acquire())
            asyncio.get_running_loop().call_later(step % 30 * 0.00003, task.cancel)
            try:
                await task
                await lock.do_release(server.get("foo"))
            except asyncio.CancelledError:
                cancelled += 1
                await lock._runtime.drain(5)
            assert server.get("foo") is None
        assert cancelled > 30


async def test_tasks_do_not_share_a_token(redis_url, server):
    """One lock object, two tasks: the first, whose lease ran out, cannot free the second's lock (redis-py: it can)."""
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        lock = client.lock("foo", timeout=0.05, sleep=0.01, lock_class=AsyncLock)
        assert await lock.acquire()
        got, done = asyncio.Event(), asyncio.Event()

        async def second():
            lock.timeout = 5
            assert await lock.acquire()
            got.set()
            await done.wait()
            await lock.release()

        task = asyncio.create_task(second())
        await got.wait()
        with pytest.raises(LockNotOwnedError):
            await lock.release()
        assert server.exists("foo")
        done.set()
        await task


def cpython_suite(make_lock, make_rlock):
    """CPython's lock tests for these locks, or None where they are not installed."""
    try:
        theirs = importlib.import_module("test.lock_tests")
    except ImportError:
        return None

    class Locks(theirs.LockTests):
        locktype = staticmethod(make_lock)
        test_at_fork_reinit = None  # an interpreter's internal

    class RLocks(theirs.RLockTests):
        locktype = staticmethod(make_rlock)
        test_at_fork_reinit = None

    loader = unittest.defaultTestLoader
    return unittest.TestSuite([loader.loadTestsFromTestCase(Locks), loader.loadTestsFromTestCase(RLocks)])


@pytest.mark.parametrize("kind", ["memory", "redis"])
def test_cpythons_own_lock_tests(kind, request):
    """`compat.threading.Lock` and `RLock` pass CPython's tests of `threading.Lock` and `RLock`."""
    provider = sync.MemoryLocks() if kind == "memory" else sync.RedisLocks(request.getfixturevalue("redis_url"))
    with provider:
        suite = cpython_suite(lambda: compat.Lock(provider), lambda: compat.RLock(provider))
        if suite is None:
            pytest.skip("left out: cpython (its own lock tests: this Python has no test package)")
        before = threading.active_count()
        provider.lock("warm", lease_s=30).acquire().release()
        if kind == "redis":  # the suite counts threads: let ours start before it does
            run(provider.backend._waiters.listen(1.0))
        result = unittest.TestResult()
        suite.run(result)
        assert [str(test) + text for test, text in (*result.errors, *result.failures)] == []
        assert result.testsRun > 20
        assert threading.active_count() <= before + 2
