"""Cancellation at random: over all faces more than 10,000 points on each run, and no key, waiter, task or connection
stays behind. redis-py's lock leaves a key in 17 to 22 % of them, Redisson's in up to 66 %.

Neighbours: `orphans.py` (how), `test_interrupt.py` (the sync face, by signals), `test_sim.py` (every await in turn).
"""

import asyncio
import random
import threading
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import asyncmy
import asyncpg
import pytest
import redis.asyncio

from stockade import locks as sync
from stockade.locks import aio
from stockade.locks.loop import AsyncioPort
from stockade.locks.memory import MemoryBackend
from stockade.locks.mysql import MySQLDialect
from stockade.locks.postgres import PostgresDialect
from stockade.locks.redisbackend import RedisBackend
from tests.locks.orphans import Arm, cancel_at_random, chunk
from tests.locks.test_interrupt import INTERRUPTS

LONG_S = 30.0  # no lease may run out while we look
POINTS = {
    "memory": 3_000,
    "redis": 4_000,
    "redisspin": 1_500,
    "redisclient": 1_000,
    "quorum": 1_000,
    "postgres": 300,
    "mysql": 300,
}
TIMEOUTS = {"memory": 1_000, "redis": 1_000}
SERVERS = {"redis": "redis", "redisspin": "redis", "redisclient": "redis", "quorum": "redis"}
SERVERS |= {"postgres": "postgres", "mysql": "mariadb"}


def marked(kinds):
    """Parameters with the marks of the servers they need."""
    return [
        pytest.param(kind, marks=[getattr(pytest.mark, SERVERS[kind])] if kind in SERVERS else []) for kind in kinds
    ]


async def nothing() -> list[str]:
    """A provider without a server."""
    return []


def redis_rows(onlookers):
    """A look at Redis servers: keys of owners and lines, and connections beyond one for calls and one for notices."""

    async def look() -> list[str]:
        found = []
        for onlooker in onlookers:
            keys = [key async for key in onlooker.scan_iter(count=1000)]
            found += [f"key: {key}" for key in keys if not key.endswith(":f") and ":a:" not in key]
            clients = [row for row in await onlooker.client_list() if row["name"].startswith("stockade")]
            found += [f"connection: {row['id']}" for row in clients[2:]]
        return found

    return look


def postgres_rows(onlooker):
    """A look at a PostgreSQL database of the test's own: advisory locks, and sessions beyond the four kept idle."""

    async def look() -> list[str]:
        here = "SELECT oid FROM pg_database WHERE datname = current_database()"
        locks = f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = ({here})"
        sessions = "SELECT count(*) - 5 FROM pg_stat_activity WHERE datname = current_database()"
        return ["a lock"] * await onlooker.fetchval(locks) + ["a session"] * await onlooker.fetchval(sessions)

    return look


def mariadb_rows(onlooker, locks):
    """The same at MariaDB, where only a lock's name tells whether it is held."""

    async def look() -> list[str]:
        async with onlooker.cursor() as cursor:
            await cursor.execute("SELECT count(*) - 5 FROM information_schema.processlist WHERE db = DATABASE()")
            sessions = (await cursor.fetchone())[0]
        if sessions > 0:
            return ["a session"] * sessions
        names = ("hot0", "hot1", "hot2", "own1", "own3")
        return [f"lock {name}" for name in names if await locks.lock(name).locked()]

    return look


async def redis_arm(kind, urls, stack):
    """The Redis providers; of each server they may keep two connections and no key but counters and signs of life."""
    url = urls[0]
    onlookers = [redis.asyncio.Redis.from_url(each, decode_responses=True) for each in urls]
    client = redis.asyncio.Redis.from_url(url)
    for each in (client, *onlookers):
        await stack.enter_async_context(each)
    make = {
        "redis": lambda: aio.RedisLocks(url, lease_s=LONG_S),
        "redisspin": lambda: aio.RedisLocks(url, fair=False, lease_s=LONG_S),
        "redisclient": lambda: aio.RedisLocks(client, lease_s=LONG_S),
        "quorum": lambda: aio.QuorumLocks(urls, lease_s=LONG_S),
    }[kind]
    return Arm(make(), redis_rows(onlookers), {"redis": 250, "redisspin": 150}.get(kind, 60))


async def make_arm(kind, urls, stack):
    """A provider and who looks at its server."""
    if kind == "memory":
        return Arm(aio.MemoryLocks(), nothing)
    if kind == "postgres":
        onlooker = await asyncpg.connect(urls[0])
        stack.push_async_callback(onlooker.close)
        plain = f"{urls[0]}?sslmode=disable"  # cancelled while it negotiates TLS, asyncpg grumbles in the log
        return Arm(aio.PostgresLocks(plain, lease_s=LONG_S), postgres_rows(onlooker), at_once=24, span_s=0.08)
    if kind == "mysql":
        parts = urlsplit(urls[0])
        where = {"host": parts.hostname, "port": parts.port, "user": parts.username, "password": parts.password or ""}
        onlooker = await asyncmy.connect(**where, db=parts.path[1:], autocommit=True)
        stack.push_async_callback(onlooker.ensure_closed)
        locks = aio.MySQLLocks(urls[0], prefix=parts.path, lease_s=LONG_S)
        return Arm(locks, mariadb_rows(onlooker, locks), at_once=24, span_s=0.08)
    return await redis_arm(kind, urls, stack)


@pytest.fixture(params=marked(POINTS))
def kind(request):
    """Each provider of the asyncio face."""
    return request.param


@pytest.fixture
def urls(request, kind):
    """Its servers; databases of the test's own."""
    fixture = {"memory": "", "quorum": "quorum_urls", "postgres": "postgres_database", "mysql": "mariadb_database"}
    found = request.getfixturevalue(name) if (name := fixture.get(kind, "redis_url")) else []
    return [found] if isinstance(found, str) else found


@pytest.fixture
async def arm(kind, urls):
    """A provider to be cancelled."""
    async with AsyncExitStack() as stack:
        made = await make_arm(kind, urls, stack)
        stack.push_async_callback(made.locks.close)
        yield made


async def test_cancelled_at_random_leaves_nothing(kind, arm):
    """Tasks cancelled anywhere between asking and having given back: no key, waiter, task or connection stays."""
    tasks_before = asyncio.all_tasks()
    assert await cancel_at_random(arm, POINTS[kind]) >= POINTS[kind]
    await arm.locks.close()
    assert asyncio.all_tasks() <= tasks_before


async def test_mutant_that_does_not_withdraw_is_caught(kind, arm, monkeypatch):
    """The control: with what is finished after a cancellation switched off, something stays behind and is seen."""
    kept = []

    async def keep(self, connection):
        kept.append(connection)

    if kind in ("postgres", "mysql"):
        monkeypatch.setattr(PostgresDialect if kind == "postgres" else MySQLDialect, "drop", keep)
    else:
        monkeypatch.setattr(AsyncioPort, "finish", lambda self, work: work.close())
        monkeypatch.setattr(MemoryBackend, "_leave", lambda self, key, cell, waiter, *, keep_grant: waiter.granted)
    rng, left = random.Random(1), []
    for _ in range(10):  # in the first ones it may still be connecting
        await chunk(arm, rng)
        if left := await arm.left_behind():
            break
    assert left
    monkeypatch.undo()
    for connection in kept:
        await arm.locks.backend._dialect.drop(connection)


def time_out_often(locks, seed, ends):
    """Many waits in a thread, most of which end in vain."""
    rng, lock = random.Random(seed), locks.lock(f"k{seed % 2}")
    for _ in range(120):
        lease = lock.acquire(timeout=rng.random() * 0.002)
        if lease:
            threading.Event().wait(rng.random() * 0.002)
            lease.release()
        ends.append(bool(lease))


def run_threads(locks, rounds):
    """Eight threads at a time until enough waits have ended in vain; how many did."""
    ends = []
    for _ in range(rounds):
        threads = [threading.Thread(target=time_out_often, args=(locks, seed, ends)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return ends.count(False)


def sync_locks(request, kind):
    """A provider of the sync face."""
    return sync.MemoryLocks() if kind == "memory" else sync.RedisLocks(request.getfixturevalue("redis_url"))


async def sync_left(request, kind, locks):
    """What its waits have left."""
    if kind == "memory":
        return Arm(locks, nothing).here()
    async with redis.asyncio.Redis.from_url(request.getfixturevalue("redis_url"), decode_responses=True) as onlooker:
        return await Arm(locks, redis_rows([onlooker])).left_behind()


@pytest.mark.parametrize("kind", marked(TIMEOUTS))
async def test_timed_out_at_random_leaves_nothing(request, kind):
    """The sync face, whose waits end by their time limit: no key, waiter or connection stays."""
    with sync_locks(request, kind) as locks:
        assert await asyncio.to_thread(run_threads, locks, 4) >= TIMEOUTS[kind]
        assert await sync_left(request, kind, locks) == []


async def test_mutant_that_times_out_without_withdrawing_is_caught(request, monkeypatch, redis_url):
    """The control for threads: a wait that ends in vain and does not leave the line is seen in it."""

    async def stay(self, ask):
        return None

    monkeypatch.setattr(RedisBackend, "_withdraw", stay)
    with sync.RedisLocks(redis_url, lease_s=LONG_S) as locks, locks.lock("k0").hold():
        assert await asyncio.to_thread(locks.lock("k0").acquire, timeout=0.01) is None
        assert any(left.startswith("key: {k0}:q") for left in await sync_left(request, "redis", locks))


def test_more_than_ten_thousand_points():
    """What one run cancels, apart from the simulator: tasks, waits of threads, and interrupts of a thread."""
    assert sum(POINTS.values()) + sum(TIMEOUTS.values()) + 2 * INTERRUPTS >= 10_000
