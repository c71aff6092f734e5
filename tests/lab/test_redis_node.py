"""What faults do to a Redis: forgotten locks, one token for two holders."""

import pytest

from stockade.lab.targets.redis_node import RedisNode
from stockade.locks import RedisTuning
from stockade.locks.aio import RedisLocks

pytestmark = pytest.mark.redis
LONG_S = 30.0
AHEAD = 4 * 10**15  # the microseconds of a clock that is ahead


@pytest.fixture
async def node(servers):
    """One Redis behind its address."""
    opened = RedisNode(servers)
    await opened.open()
    yield opened
    await opened.close()


async def test_a_restarted_server_grants_a_held_lock_again(node):
    """It forgets the holder; the next token is greater nevertheless, because counters start at the clock."""
    async with RedisLocks(node.url) as first, RedisLocks(node.url) as second:
        held = await first.lock("a", lease_s=LONG_S, on_lost="ignore").acquire()
        assert await second.lock("a").try_acquire() is None
        await node.kill()
        await node.restart()
        given = await second.lock("a", lease_s=LONG_S).acquire(timeout=10)
        assert given.fencing_token > held.fencing_token
        await given.release()


async def test_a_failover_gives_one_token_to_two_holders(node):
    """The replica missed the second grant; where the counter is ahead of the clock, it says the same again."""
    async with RedisLocks(node.url) as first, RedisLocks(node.url, RedisTuning(patience_s=10)) as second:
        await first.raise_fence("a", AHEAD)
        async with first.lock("a"):
            await node.start_replica()
        await node.cut_replication()
        held = await first.lock("a", lease_s=LONG_S, on_lost="ignore").acquire()
        await node.fail_over()
        given = await second.lock("a", lease_s=LONG_S).acquire(timeout=10)
        assert given.fencing_token == held.fencing_token
        assert given.token != held.token
        await given.release()


async def test_a_replica_that_is_not_cut_off_has_the_grant(node):
    """The control: with the link intact the promoted replica knows the holder, and grants nothing."""
    async with RedisLocks(node.url) as first, RedisLocks(node.url) as second:
        await node.start_replica()
        held = await first.lock("a", lease_s=LONG_S).acquire()
        await node.wait_for_replica()
        await node.fail_over()
        assert await second.lock("a").try_acquire() is None
        await held.release()
