"""Replicas: grants that wait for them, and a failover that loses a grant, which no lock but every fence survives."""

import asyncio

import pytest
import redis

from stockade.devservers.tcp_proxy import TcpProxy
from stockade.locks import LockUnavailable, RedisTuning, aio
from stockade.locks.fencing import FenceRefused, MemoryFence
from tests.locks.harness import eventually

pytestmark = pytest.mark.redis
LONG_S = 30.0


async def test_replicas_are_waited_for(redis_server):
    """With wait_replicas a grant counts only when a replica has it; without a replica it is refused and withdrawn."""
    master = redis_server()
    async with aio.RedisLocks(master.url, RedisTuning(wait_replicas=1, call_s=0.4)) as locks:
        with pytest.raises(LockUnavailable, match="0 of 1 replicas"):
            await locks.lock("a").acquire()
        await locks.runtime.drain(5)
        with redis.Redis.from_url(master.url) as onlooker:
            assert not onlooker.exists("stockade:a")
    replica = await asyncio.to_thread(redis_server, replica_of=master)
    async with aio.RedisLocks(master.url, RedisTuning(wait_replicas=1, call_s=8)) as locks, locks.lock("a"):
        with redis.Redis.from_url(replica.url) as copy:
            assert copy.exists("stockade:a")


async def test_failover_with_a_lost_tail_grants_twice_and_the_owner_tells_them_apart(redis_server):
    """A replica that missed the grant is promoted: both believe to hold (the limit of any lock); owners differ."""
    master = redis_server()
    async with aio.RedisLocks(master.url, lease_s=LONG_S) as before:
        await (await before.lock("a").acquire()).release()
        replica = await asyncio.to_thread(redis_server, replica_of=master)
        with redis.Redis.from_url(replica.url) as promoted:
            promoted.replicaof("no", "one")  # the link is cut before the next grant
            old = await before.lock("a").acquire()
            async with aio.RedisLocks(replica.url, lease_s=LONG_S) as after:
                new = await after.lock("a").acquire()
                assert old.alive
                assert new.alive
                assert (new.fencing_token, new.token) != (old.fencing_token, old.token)
                assert new.fencing_token >= old.fencing_token
                await new.release()
        await old.release()


async def test_a_cut_link_grants_twice_and_the_fence_refuses_the_first(redis_server):
    """The link to the replica swallows a grant, the replica is promoted: two holders; only the later one may write."""
    master = await asyncio.to_thread(redis_server)
    replica = await asyncio.to_thread(redis_server)
    async with TcpProxy(master.port) as link:
        with redis.Redis.from_url(replica.url) as promoted:
            promoted.replicaof("127.0.0.1", str(link.port))
            await eventually(lambda: promoted.info("replication")["master_link_status"] == "up")
            async with aio.RedisLocks(master.url, lease_s=LONG_S) as before:
                await (await before.lock("a").acquire()).release()
                await eventually(
                    lambda: promoted.exists("stockade:{stockade:a}:f") and not promoted.exists("stockade:a")
                )
                link.swallow()
                old = await before.lock("a").acquire()
                assert not promoted.exists("stockade:a")  # swallowed; the master has not heard that the link is gone
                promoted.replicaof("no", "one")
                async with aio.RedisLocks(replica.url, lease_s=LONG_S) as after:
                    new = await after.lock("a").acquire()
                    assert old.alive
                    assert new.alive
                    assert new.fencing_token > old.fencing_token
                    guard = MemoryFence()
                    guard.install(new)
                    with pytest.raises(FenceRefused):
                        guard.install(old)
                    guard.install(new)
                    await new.release()
                await old.release()


async def test_a_whole_link_lets_nobody_in_twice(redis_server):
    """The control: the grant passes the link, so the promoted replica still knows the holder."""
    master = await asyncio.to_thread(redis_server)
    replica = await asyncio.to_thread(redis_server)
    async with TcpProxy(master.port) as link:
        with redis.Redis.from_url(replica.url) as promoted:
            promoted.replicaof("127.0.0.1", str(link.port))
            await eventually(lambda: promoted.info("replication")["master_link_status"] == "up")
            async with aio.RedisLocks(master.url, lease_s=LONG_S) as before:
                old = await before.lock("a").acquire()
                await eventually(lambda: promoted.exists("stockade:a"))
                promoted.replicaof("no", "one")
                async with aio.RedisLocks(replica.url, lease_s=LONG_S) as after:
                    assert await after.lock("a").try_acquire() is None
                await old.release()
