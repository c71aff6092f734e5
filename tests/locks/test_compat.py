"""The drop-in replacements: redis-py's lock in its own words, CPython's own lock tests where they are installed."""

import asyncio
import importlib
import threading
import time
import unittest

import pytest
import redis
import redis.asyncio
from redis.exceptions import LockError, LockNotOwnedError

from stockade import locks as sync
from stockade.locks.blocking import run
from stockade.locks.compat import threading as compat
from stockade.locks.compat.redis_py import AsyncLock, Lock
from tests.locks.harness import eventually

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


async def test_storage_is_redis_pys(both, server):
    """The token is a plain string at the name, without TTL unless a timeout is given."""
    lock = both.lock("foo")
    assert await both(lock.acquire(blocking=False))
    assert server.get("foo") == lock.local.token
    assert server.ttl("foo") == -1
    await both(lock.release())
    assert server.get("foo") is None
    timed = both.lock("foo", timeout=10)
    assert await both(timed.acquire())
    assert 8 < server.ttl("foo") <= 10
    await both(timed.release())


async def test_tokens_and_owners(both, server):
    """A caller's token is used; `owned` and `locked` tell mine from another's."""
    mine, other = both.lock("foo"), both.lock("foo")
    assert await both(mine.acquire(token="test"))
    assert server.get("foo") == b"test"
    assert await both(mine.owned())
    assert not await both(other.owned())
    assert await both(other.locked())
    assert not await both(other.acquire(blocking=False))
    await both(mine.release())
    assert not await both(other.locked())


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


async def test_waits_at_most_its_time(both, server):
    """`blocking_timeout` bounds the wait, `blocking=False` tries once."""
    server.set("foo", "x")
    started = time.monotonic()
    assert not await both(both.lock("foo", sleep=0.02, blocking_timeout=0.1).acquire())
    assert 0.05 < time.monotonic() - started < 1
    with pytest.raises(LockError, match="Unable to acquire"):
        await enter(both, both.lock("foo", sleep=0.01, blocking_timeout=0.02))


async def enter(both, lock):
    """Run an empty block under the lock."""
    if both.lock_class is Lock:
        with lock:
            pass
    else:
        async with lock:
            pass


async def test_errors_are_redis_pys(both, server):
    """Each misuse raises what redis-py raises, with the lock's name."""
    lock = both.lock("foo", timeout=10)
    with pytest.raises(LockError, match="not owned"):
        await both(lock.release())
    with pytest.raises(LockError, match="extend an unlocked"):
        await both(lock.extend(10))
    with pytest.raises(LockError, match="reacquire an unlocked"):
        await both(lock.reacquire())
    await both(lock.acquire())
    server.set("foo", "other")
    with pytest.raises(LockNotOwnedError) as error:
        await both(lock.extend(10))
    assert error.value.lock_name == "foo"
    with pytest.raises(LockNotOwnedError):
        await both(lock.reacquire())
    with pytest.raises(LockNotOwnedError):
        await both(lock.release())
    assert lock.local.token is None
    assert server.get("foo") == b"other"
    endless = both.lock("bar")
    await both(endless.acquire())
    with pytest.raises(LockError, match="no timeout"):
        await both(endless.extend(10))
    with pytest.raises(LockError, match="no timeout"):
        await both(endless.reacquire())
    await both(endless.release())
    with pytest.raises(LockError, match="must be less"):
        both.lock("foo", timeout=0.05, sleep=0.1)


async def test_extend_and_reacquire(both, server):
    """`extend` adds or replaces, `reacquire` starts anew."""
    lock = both.lock("foo", timeout=10)
    await both(lock.acquire())
    await both(lock.extend(10))
    assert 16_000 < server.pttl("foo") <= 20_000
    await both(lock.extend(5, replace_ttl=True))
    assert 3_000 < server.pttl("foo") <= 5_000
    await both(lock.reacquire())
    assert 8_000 < server.pttl("foo") <= 10_000
    await both(lock.release())


async def test_release_errors_can_be_silenced(both, server):
    """`raise_on_release_error=False` passes over a lock that is gone."""
    lock = both.lock("foo", timeout=10, raise_on_release_error=False)
    await both(lock.acquire())
    server.delete("foo")
    await both(lock.release())
    await both(lock.release())


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
                await eventually(lambda lock=lock: not lock._cleaning)
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
            pytest.skip("this Python has no test package")
        before = threading.active_count()
        provider.lock("warm", lease_s=30).acquire().release()
        if kind == "redis":  # the suite counts threads: let ours start before it does
            run(provider.backend._room.listen(1.0))
        result = unittest.TestResult()
        suite.run(result)
        assert [str(test) + text for test, text in (*result.errors, *result.failures)] == []
        assert result.testsRun > 20
        assert threading.active_count() <= before + 2
