"""One namespace for all keys, channels and names; what another program keeps under a key is an error that says so."""

import asyncio
import hashlib

import pytest
import redis

from stockade.locks import LockError, LockUnavailable, RedisLocks, RedisTuning, aio
from stockade.locks.redis.calls import channel_of
from stockade.locks.redis.key_names import names_of
from tests.locks.harness import eventually

pytestmark = pytest.mark.redis


@pytest.fixture
def server(redis_url):
    """A client of the server."""
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


async def use_every_kind(locks):
    """Hold and wait for a lock of each kind."""
    for lock in (locks.lock("a", metadata="m"), locks.rwlock("b").write, locks.semaphore("c", 1)):
        async with lock:
            waiter = asyncio.create_task(lock.acquire())
            await eventually(lambda lock=lock: waits(lock))
        await (await waiter).release()


async def waits(lock):
    return bool((await lock.inspect()).waiters)


@pytest.mark.parametrize("prefix", ["stockade:", "shop:", ""])
async def test_every_key_begins_with_the_prefix(redis_url, server, prefix):
    """By default `stockade:`; without a prefix the keys are those of version 0.1 and before."""
    tuning = RedisTuning() if prefix == "stockade:" else RedisTuning(prefix=prefix)
    with server.monitor() as monitor:
        async with aio.RedisLocks(redis_url, tuning) as locks:
            await use_every_kind(locks)
            await asyncio.to_thread(server.set, "the end", "1")
        keys, channels = set(), set()
        for line in iter(lambda: monitor.next_command()["command"], "SET the end 1"):
            word, *rest = line.split(" ")
            if word.lower() in ("get", "set", "zadd", "hset", "rpush", "lpop", "del", "incr", "pexpire"):
                keys.add(rest[0])
            elif word.lower() in ("subscribe", "publish"):
                channels.add(rest[0])
    assert keys
    assert all(key.startswith(prefix) for key in keys)
    assert all(channel.startswith(f"{prefix.removeprefix('stockade:')}stockade:n:") for channel in channels)
    assert (names_of("", "a", "lock").keys[0] in keys) == (prefix == "")


def test_the_channels_of_the_usual_prefix_are_the_old_ones():
    """So processes with and without the prefix wake each other; another prefix keeps its own channels."""
    assert channel_of("") == channel_of("stockade:") == "stockade:n:"
    assert channel_of("shop:") == "shop:stockade:n:"


async def test_the_setting_that_keeps_the_old_names(redis_url):
    """`prefix=""` excludes processes of before; the default does not: they have other names."""
    async with (
        aio.RedisLocks(redis_url, RedisTuning(prefix="")) as before,
        aio.RedisLocks(redis_url, prefix="") as kept,
        aio.RedisLocks(redis_url) as renamed,
        before.lock("a"),
    ):
        assert await kept.lock("a").try_acquire() is None
        assert await renamed.lock("a").try_acquire()


def test_database_names_are_in_the_namespace_too(postgres_url):
    """An advisory lock is the hash of prefix and name: `stockade:` by default, the old number with an empty prefix."""
    from stockade.locks import PostgresLocks

    for options, full in (({}, "stockade:a"), ({"prefix": ""}, "a"), ({"prefix": "shop:"}, "shop:a")):
        with PostgresLocks(postgres_url, **options) as locks:
            wanted = int.from_bytes(hashlib.blake2b(full.encode(), digest_size=16).digest()[:8], "big", signed=True)
            assert locks.backend._dialect._key("a") == wanted


FOREIGN = {
    "list": (lambda server, key: server.rpush(key, "x"), "list"),
    "hash": (lambda server, key: server.hset(key, "a", "b"), "hash"),
    "text": (lambda server, key: server.set(key, "a cached page"), "string"),
    "number": (lambda server, key: server.set(key, "3.14"), "string"),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_a_foreign_value_is_an_error_that_names_it(redis_url, server, what):
    """Acquire, inspect and break name the key and its type, change nothing, and do not wait."""
    put, kind = FOREIGN[what]
    put(server, "stockade:a")
    before = server.dump("stockade:a")
    with RedisLocks(redis_url) as locks:
        lock = locks.lock("a")
        for call in (lock.acquire, lock.try_acquire, lambda: lock.acquire(timeout=1), lock.inspect):
            with pytest.raises(LockError, match=f"the key 'stockade:a' holds a {kind} that is no lock") as caught:
                call()
            assert not isinstance(caught.value, LockUnavailable)
        with pytest.raises(LockError, match=f"holds a {kind} that is no lock"):
            locks.break_("a")
    assert server.dump("stockade:a") == before


async def test_a_foreign_value_under_other_keys_and_kinds(redis_url, server):
    """The queue of a mutex, the holders of a semaphore and of a read/write lock."""
    server.set("stockade:{stockade:a}:q", "x")
    server.set("stockade:{stockade:b}:semaphore", "x")
    server.rpush("stockade:{stockade:c}:rw", "x")
    async with aio.RedisLocks(redis_url) as locks:
        server.set("stockade:a", "feedfeedfeedfeed.1", px=60_000)
        with pytest.raises(LockError, match=r"'stockade:\{stockade:a\}:q' holds a string that is no lock"):
            await locks.lock("a").acquire(timeout=1)
        with pytest.raises(LockError, match=r":semaphore' holds a string that is no lock"):
            await locks.semaphore("b", 2).acquire()
        with pytest.raises(LockError, match=r":rw' holds a list that is no lock"):
            await locks.rwlock("c").read.acquire()


async def test_control_locks_of_others_are_no_foreign_values(redis_url, server):
    """A holder of another process, and one of redis-py's own lock, are waited for as before."""
    async with aio.RedisLocks(redis_url) as locks, aio.RedisLocks(redis_url) as others:
        async with others.lock("a"):
            assert await locks.lock("a").try_acquire() is None
        with server.lock("stockade:b", timeout=10):
            assert await locks.lock("b").try_acquire() is None
        server.set("stockade:c", "feedfeedfeedfeed.job-7", px=60_000)
        assert await locks.lock("c").acquire(timeout=0) is None


async def test_a_foreign_value_on_a_cluster(cluster_urls):
    """The master that serves the key answers for it."""
    with redis.RedisCluster.from_url(cluster_urls[0]) as server:
        server.rpush("stockade:a", "x")
    async with aio.RedisLocks(cluster_urls[:1], cluster=True) as locks:
        with pytest.raises(LockError, match="the key 'stockade:a' holds a list that is no lock"):
            await locks.lock("a").acquire()
