"""Redlock: a minority may be dead, a majority may not; tokens grow whichever majority grants."""
# ruff: noqa: PT012 - a block under a lock is more than one statement

import pytest
import redis

from stockade.locks import LockError, LockUnavailable, RedisTuning, aio
from tests.locks.harness import eventually, work_for_ever

pytestmark = pytest.mark.redis
TUNING = RedisTuning(call_s=0.2, spin_s=0.005)


@pytest.fixture
def three(redis_server):
    """Three servers that may be killed."""
    return [redis_server() for _ in range(3)]


async def test_minority_may_be_dead(three):
    """With one of three killed locks are granted and renewed, and a second owner is kept out."""
    async with aio.QuorumLocks([server.url for server in three], TUNING, lease_s=0.6) as locks:
        async with locks.lock("a") as lease:
            three[0].kill()
            first = lease.deadline
            await eventually(lambda: lease.deadline > first + 0.3)
            assert await locks.lock("a", reentrant=False).try_acquire() is None
        async with locks.lock("a"):
            pass


async def test_majority_must_live(three):
    """With two of three killed nothing is granted: LockUnavailable; who held it loses it by the clock."""
    async with aio.QuorumLocks([server.url for server in three], TUNING, lease_s=0.5) as locks:
        with pytest.raises(LockUnavailable):
            async with locks.lock("a", on_lost="raise") as lease:
                three[0].kill()
                three[1].kill()
                assert await lease.wait_lost(3)
                await locks.lock("b").acquire(timeout=1)


@pytest.mark.parametrize("refusing", [1, 2])
async def test_a_minority_may_refuse(quorum_urls, caplog, refusing):
    """One that refuses the password is logged once and counts as dead; with two the refusal is the answer."""
    urls = [url.replace("//", "//nobody:wrong@") if n < refusing else url for n, url in enumerate(quorum_urls)]
    async with aio.QuorumLocks(urls, TUNING, lease_s=0.6) as locks:
        if refusing == 2:
            with pytest.raises(LockError, match="WRONGPASS") as raised:
                await locks.lock("a").acquire(timeout=2)
            assert not isinstance(raised.value, LockUnavailable)
            return
        async with locks.lock("a") as lease:
            first = lease.deadline
            await eventually(lambda: lease.deadline > first + 0.3)
    assert len([record for record in caplog.records if "does not count" in record.message]) == 1
    assert "wrong@" not in caplog.text


async def test_tokens_grow_over_different_majorities(quorum_urls):
    """A grant by servers 1+2 is below the next one by 2+3: the token is written back before it is believed."""
    clients = [redis.Redis.from_url(url) for url in quorum_urls]
    tokens = []
    async with aio.QuorumLocks(quorum_urls, TUNING) as locks:
        for turn in range(6):
            blocked = clients[turn % 3]
            blocked.set("stockade:a", "feedfeedfeedfeed.1", px=60_000)
            async with locks.lock("a") as lease:
                tokens.append(lease.fencing_token)
            blocked.delete("stockade:a")
    for client in clients:
        client.close()
    assert tokens == sorted(set(tokens))


async def test_minority_grants_nothing_and_keeps_nothing(quorum_urls):
    """Two of three keys foreign: not granted, and the one that was taken is given back."""
    clients = [redis.Redis.from_url(url) for url in quorum_urls]
    for client in clients[:2]:
        client.set("stockade:a", "feedfeedfeedfeed.1", px=60_000)
    async with aio.QuorumLocks(quorum_urls, TUNING) as locks:
        assert await locks.lock("a").acquire(timeout=0.05) is None
        assert not clients[2].exists("stockade:a")
    for client in clients:
        client.close()


async def test_losing_the_majority_cancels_the_body(quorum_urls):
    """Two of three servers forget: the next renewal tells the holder."""
    async with aio.QuorumLocks(quorum_urls, TUNING, lease_s=0.6) as locks:
        with pytest.raises(aio.LockLost):
            async with locks.lock("a"):
                for url in quorum_urls[:2]:
                    with redis.Redis.from_url(url) as client:
                        client.flushall()
                await work_for_ever()


def test_an_even_number_is_refused():
    """Four servers are no better than three, two no better than one."""
    with pytest.raises(ValueError, match="odd number"):
        aio.QuorumLocks(["redis://127.0.0.1:1", "redis://127.0.0.1:2"])
