"""A resource that has seen a newer token than the lock server gives: the server is raised above it."""

import pytest
import redis

from stockade.core import NotSupported
from stockade.locks import LockUnavailable, RedisTuning, aio

FAR = 10**15 * 9  # above every counter that starts at a clock's microseconds


async def token(alice, lock):
    """The token of a lock taken and given back."""
    lease = await alice(lock.acquire)
    await alice(lease.release)
    return lease.fencing_token


async def test_tokens_go_on_above_what_was_seen(world, subject):
    """Raised to a number the next token is above it; raised to less it goes on as before."""
    locks, alice = world.provider(), world.actor()
    if subject.kind in ("postgres", "mysql"):
        with pytest.raises(NotSupported, match="cannot be forgotten"):
            await alice(locks.raise_fence, "a", FAR)
        return
    lock = locks.lock("a")
    before = await token(alice, lock)
    await alice(locks.raise_fence, "a", FAR)
    raised = await token(alice, lock)
    assert before < FAR < raised
    await alice(locks.raise_fence, "a", before)
    assert raised < await token(alice, lock) < raised + 10


@pytest.mark.redis
async def test_a_fence_that_was_set_back_goes_on_by_the_clock(redis_url):
    """A server restored to an old fence, or to none, gives greater tokens than before all the same."""
    async with aio.RedisLocks(redis_url) as locks:
        for back_to in (lambda seen: seen - 1_000, lambda seen: 1):
            async with locks.lock("a") as lease:
                seen = lease.fencing_token
            with redis.Redis.from_url(redis_url) as server:
                server.set("stockade:{stockade:a}:f", back_to(seen))
            async with locks.lock("a") as lease:
                assert lease.fencing_token > seen


@pytest.mark.redis
async def test_a_clock_that_is_behind_needs_it(redis_url):
    """The control: a resource has seen the tokens of a server whose clock was ahead; it refuses this one's, until the
    fence is raised."""
    seen = FAR
    async with aio.RedisLocks(redis_url) as locks:
        async with locks.lock("a") as lease:
            assert lease.fencing_token < seen
        await locks.raise_fence("a", seen)
        async with locks.lock("a") as lease:
            assert lease.fencing_token == seen + 1


@pytest.mark.redis
async def test_a_quorum_needs_its_majority(redis_server):
    """One of three servers is not enough to be sure that every later majority knows it."""
    servers = [redis_server() for _ in range(3)]
    async with aio.QuorumLocks([each.url for each in servers], RedisTuning(call_s=0.25)) as locks:
        servers[0].kill()
        await locks.raise_fence("a", FAR)
        servers[1].kill()
        with pytest.raises(LockUnavailable, match="majority"):
            await locks.raise_fence("a", FAR)
