"""A release that is cancelled, interrupted or undone while its only server is silent: nothing but the cancellation
comes out, and the key goes as soon as the server speaks again.

Neighbours: `redis/test_quorum_release_retry.py` (several servers), `faults/test_interrupt.py`,
`faults/test_cancellation.py` (servers that answer).
"""

import asyncio
import gc
import time

import pytest
import redis

from stockade import locks as sync
from stockade.locks import LockUnavailable, RedisTuning, aio
from stockade.locks.engine.manager import LockManager
from stockade.locks.engine.release_retry import ReleaseRetry
from tests.locks.harness import Interrupt, eventually
from tests.locks.orphans import LONG_S
from tests.waiting import eventually as eventually_sync

pytestmark = pytest.mark.redis
TUNING = RedisTuning(call_s=0.2)


@pytest.fixture
def server(redis_server):
    """One that may be stopped; resumed whatever happens."""
    made = redis_server()
    yield made
    made.resume()


@pytest.fixture(params=[True, False], ids=["repeats", "control"])
def repeats(request, monkeypatch):
    """False: the control, in which a release that was not answered is not repeated."""
    if not request.param:
        monkeypatch.setattr(ReleaseRetry, "retry", lambda self, ask, silent, until: None)
    return request.param


def held_keys(server):
    """Keys that hold a lock."""
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        return {key for key in client.scan_iter() if "{" not in key}


async def see_what_becomes_of_a(server, locks, repeats):
    """The key of lock "a" goes; in the control it is still there after another lock was had."""
    if repeats:
        await eventually(lambda: "stockade:a" not in held_keys(server))
    else:
        async with locks.lock("c"):
            assert "stockade:a" in held_keys(server)


def see_what_becomes_of_a_sync(server, locks, repeats):
    """The same for threads."""
    if repeats:
        eventually_sync(lambda: "stockade:a" not in held_keys(server))
    else:
        with locks.lock("c"):
            assert "stockade:a" in held_keys(server)


@pytest.fixture
async def complaints():
    """The loop's reports of errors that no caller read."""
    said = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: said.append(context))
    yield said
    asyncio.get_running_loop().set_exception_handler(None)


async def test_cancelled_release(server, repeats, complaints):
    """A task cancelled in its release: no error is left to the loop, and the key goes."""
    async with aio.RedisLocks(server.url, TUNING, lease_s=LONG_S) as locks:
        lease = await locks.lock("a").acquire()
        server.pause()
        with pytest.raises(LockUnavailable):  # from here on a connection has to be made anew
            await locks.lock("b").locked()
        await locks.runtime.drain(5)
        release = asyncio.create_task(lease.release())
        await asyncio.sleep(0)
        release.cancel()
        with pytest.raises(asyncio.CancelledError):
            await release
        await locks.runtime.drain(5)
        gc.collect()
        assert complaints == []
        server.resume()
        await see_what_becomes_of_a(server, locks, repeats)


def test_interrupted_release(server, repeats, interrupt_after):
    """Ctrl-C in a thread's release: Ctrl-C comes out, after one more question, and the key goes."""
    with sync.RedisLocks(server.url, TUNING, lease_s=LONG_S) as locks:
        lease = locks.lock("a").acquire()
        server.pause()
        with pytest.raises(LockUnavailable):
            locks.lock("b").locked()
        interrupt_after(0.03)
        started = time.monotonic()
        with pytest.raises(Interrupt):
            lease.release()
        assert time.monotonic() - started < 0.03 + 2 * TUNING.call_s + 0.3
        server.resume()
        see_what_becomes_of_a_sync(server, locks, repeats)


def test_interrupted_between_grant_and_caller(server, repeats, monkeypatch):
    """Ctrl-C after the server has granted, which then is silent: Ctrl-C comes out, and the key goes."""

    def stop(self, ask, granted, me):
        server.pause()
        locks.backend._server._socket.close()
        raise Interrupt

    with sync.RedisLocks(server.url, TUNING, lease_s=LONG_S) as locks:
        with monkeypatch.context() as patched:
            patched.setattr(LockManager, "_hold", stop)
            with pytest.raises(Interrupt):
                locks.lock("a").acquire()
        server.resume()
        see_what_becomes_of_a_sync(server, locks, repeats)


async def test_dropped_lease(server, repeats):
    """A lease that no caller can release any more, released while the server is silent: the key goes later."""
    async with aio.RedisLocks(server.url, TUNING, lease_s=LONG_S) as locks:
        events = []
        locks.on_event(lambda event: events.append((event.kind, event.lock_name)))
        lease = await locks.lock("a").acquire()
        server.pause()
        with pytest.raises(LockUnavailable):
            await locks.lock("b").locked()
        locks.manager.renewer.remove(lease)
        locks.manager._release_abandoned(lease.request)
        await locks.runtime.drain(5)
        assert ("abandoned", "a") in events
        server.resume()
        await see_what_becomes_of_a(server, locks, repeats)


async def test_a_repeated_release_tells_no_loss(server):
    """A release whose answer was lost, called again: it may have been carried out, so it is no loss."""
    async with aio.RedisLocks(server.url, TUNING, lease_s=LONG_S) as locks:
        await (await locks.lock("warm").acquire()).release()  # the server has the scripts
        lease = await locks.lock("a", on_lost="raise").acquire()
        server.pause()
        with pytest.raises(LockUnavailable):
            await lease.release()
        server.resume()
        await eventually(lambda: "stockade:a" not in held_keys(server))  # it was sent, and carried out late
        await lease.release()
        assert not lease.lost_reason


async def test_an_owner_that_asks_again_keeps_its_new_grant(server):
    """A caller's own token, used again after a release that was not answered: nothing takes the new grant away."""
    async with aio.RedisLocks(server.url, TUNING, lease_s=LONG_S) as locks:
        lease = await locks.lock("a").acquire(token="job-7")
        server.pause()
        with pytest.raises(LockUnavailable):
            await locks.lock("b").locked()
        await locks.manager.releaser.exit(lease, None)
        await locks.runtime.drain(5)
        server.resume()
        again = await locks.lock("a").acquire(token="job-7")
        await eventually(lambda: "stockade-lock-release-retry" not in {task.get_name() for task in asyncio.all_tasks()})
        assert "stockade:a" in held_keys(server)
        await again.release()
        assert "stockade:a" not in held_keys(server)
