"""A Redis user without the right to the notice channels: its waiters poll, it is said once, and nothing else changes.

Neighbours: `faults/test_bounds.py` (other refusals), `src/stockade/locks/redis/waiters.py`.
"""

import contextlib
import logging
import time

import pytest
import redis
import redis.asyncio

from stockade import locks as sync
from stockade.devservers import Servers
from stockade.locks import RedisTuning, aio
from stockade.locks.redis.waiters import NoticeWaiters
from tests.locks.harness import TaskActor, ThreadActor, eventually, waiting

pytestmark = pytest.mark.redis
KINDS = ("lock", "write", "semaphore")
TUNING = RedisTuning(poll_s=0.5)


@pytest.fixture(scope="module")
def server():
    """One with two users: `mute` has no channels, `app` has all."""
    with Servers() as servers:
        made = servers.redis()
        with redis.Redis.from_url(made.url) as admin:
            admin.execute_command("ACL", "SETUSER", "mute", "on", ">pw", "~*", "resetchannels", "+@all")
            admin.execute_command("ACL", "SETUSER", "app", "on", ">pw", "~*", "&*", "+@all")
        yield made


@pytest.fixture(params=["aio-url", "sync-url", "aio-client", "sync-client"])
async def world(request, server):
    """A function that makes an actor and a provider of one user."""
    face, kind = request.param.split("-")
    module, ends = (aio if face == "aio" else sync), []

    def make(user):
        url = f"redis://{user}:pw@127.0.0.1:{server.port}/0"
        if kind == "client":
            where = redis.asyncio.Redis.from_url(url) if face == "aio" else redis.Redis.from_url(url)
        else:
            where = url
        actor = TaskActor() if face == "aio" else ThreadActor()
        locks = module.RedisLocks(where, TUNING, lease_s=20)
        ends.append((actor, locks))
        return actor, locks

    with redis.Redis.from_url(server.url) as admin:
        admin.flushall()
    yield make
    for actor, locks in ends:
        await actor(locks.close)
        await actor.close()


def lock_of(locks, kind):
    if kind == "write":
        return locks.rwlock("a", on_lost="raise").write
    return locks.semaphore("a", 1, on_lost="raise") if kind == "semaphore" else locks.lock("a", on_lost="raise")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("users", [("mute", "mute"), ("mute", "app"), ("app", "mute")], ids="-".join)
async def test_a_hand_over(world, kind, users):
    """Whoever lacks the right, the holder or the waiter: the block ends well and the waiter gets in soon."""
    (alice, hers), (bob, his) = world(users[0]), world(users[1])
    lease = await alice(lock_of(hers, kind).acquire, timeout=3)
    waiter = bob(lock_of(his, kind).acquire, timeout=8)
    assert await waiting(waiter, 0.3)
    started = time.monotonic()
    await alice(lease.release)
    got = await waiter
    assert got is not None
    assert time.monotonic() - started < TUNING.poll_s + 1.0
    await bob(got.release)


async def test_it_is_said_once(world, caplog):
    """Many waits, one warning that names the channels, and one event."""
    (alice, hers), (bob, his) = world("mute"), world("mute")
    events = []
    his.on_event(lambda event: events.append(event.kind))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            lease = await alice(hers.lock("a").acquire, timeout=3)
            assert await bob(his.lock("a").acquire, timeout=0.2) is None
            await alice(lease.release)
    assert events.count("polling") == 1
    assert len([each for each in caplog.records if "stockade:n:*" in each.getMessage()]) == 1


async def test_its_time_limit_holds(world):
    """A wait in vain ends at its limit, and leaves nothing."""
    (alice, hers), (bob, his) = world("mute"), world("mute")
    lease = await alice(hers.lock("a").acquire, timeout=3)
    started = time.monotonic()
    assert await bob(his.lock("a").acquire, timeout=0.5) is None
    assert 0.4 < time.monotonic() - started < 1.0
    assert (await alice(hers.inspect, "a")).waiters == ()
    await alice(lease.release)


async def test_the_right_may_come_later(world, server, monkeypatch):
    """With the right granted, notices reach the waiters again after a while."""
    (alice, hers), (bob, his) = world("mute"), world("mute")
    lease = await alice(hers.lock("a").acquire, timeout=3)
    assert await bob(his.lock("a").acquire, timeout=0.2) is None
    waiters = his.backend._waiters
    assert waiters.must_poll
    with redis.Redis.from_url(server.url) as admin:
        admin.execute_command("ACL", "SETUSER", "mute", "&*")
        try:
            waiters._refused_until = 0.0  # the while is over
            waiter = bob(his.lock("a").acquire, timeout=8)
            await eventually(lambda: waiters.subscribed)
            await alice(lease.release)
            await bob((await waiter).release)
        finally:
            admin.execute_command("ACL", "SETUSER", "mute", "resetchannels")


async def test_the_control_that_ignores_the_refusal_waits_in_vain(world, monkeypatch):
    """A provider that takes the refusal for a subscription joins the queue, and its waiter is skipped."""

    async def listen(self, timeout_s):
        self._process = self.runtime.process()

    monkeypatch.setattr(NoticeWaiters, "listen", listen)
    (alice, hers), (bob, his) = world("app"), world("app")
    polls = RedisTuning(poll_s=30.0)
    his.backend._tuning = polls
    lease = await alice(hers.lock("a").acquire, timeout=3)
    waiter = bob(his.lock("a").acquire, timeout=2.0)
    with contextlib.suppress(AssertionError):
        await eventually(lambda: his.backend._waiters._queues, 1.0)
    await alice(lease.release)
    assert await waiter is None
