"""Cancellation at random: over all faces more than 10,000 points on each run, and no key, waiter, task or connection
stays behind. redis-py's lock leaves a key in 17 to 22 % of them, Redisson's in up to 66 %.

Neighbours: `orphans.py` (how), `test_interrupt.py` (the sync face, by signals), `simulator/test_simulator.py` (every
await in turn).
"""

import asyncio
import random
import threading
from contextlib import AsyncExitStack

import pytest

from stockade import locks as sync
from stockade.locks.database.session_locks import SessionLocks
from stockade.locks.memory import MemoryBackend
from stockade.locks.redis.backend import RedisBackend
from stockade.locks.runtime.async_runtime import AsyncRuntime
from tests.locks.faults.test_interrupt import INTERRUPTS
from tests.locks.orphans import cancel_at_random, chunk, make_arm, nothing_left, visit
from tests.threads import Running

POINTS = {
    "memory": 3_000,
    "redis": 4_000,
    "redisspin": 1_500,
    "redisclient": 1_000,
    "rediscluster": 1_000,
    "quorum": 1_000,
    "postgres": 300,
    "mysql": 300,
}
TIMEOUTS = {
    "memory": 1_000,
    "redis": 1_000,
    "redisspin": 300,
    "redisclient": 300,
    "rediscluster": 300,
    "quorum": 150,
    "postgres": 100,
    "mysql": 100,
}
SERVERS = {"redis": "redis", "redisspin": "redis", "redisclient": "redis", "rediscluster": "redis"}
SERVERS |= {"quorum": "redis", "postgres": "postgres", "mysql": "mariadb"}


def marked(kinds):
    """Parameters with the marks of the servers they need."""
    return [
        pytest.param(kind, marks=[getattr(pytest.mark, SERVERS[kind])] if kind in SERVERS else []) for kind in kinds
    ]


@pytest.fixture(params=marked(POINTS))
def kind(request):
    """Each provider."""
    return request.param


@pytest.fixture
def urls(request, kind):
    """Its servers; databases of the test's own."""
    fixture = {"memory": "", "postgres": "postgres_database", "mysql": "mariadb_database"}
    fixture |= {"quorum": "quorum_urls", "rediscluster": "cluster_urls"}
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
    grant = SessionLocks._grant

    async def keep(self, queue, *won):
        if queue.first is not None:
            await grant(self, queue, *won)

    if kind in ("postgres", "mysql"):
        monkeypatch.setattr(SessionLocks, "_grant", keep)  # a grant that nobody wants any more is not given back
    else:
        monkeypatch.setattr(AsyncRuntime, "run_to_end", lambda self, work: work.close())
        monkeypatch.setattr(MemoryBackend, "_leave", lambda self, key, cell, waiter, *, keep_grant: waiter.grant)
    await asyncio.gather(*[visit(arm.locks.lock(f"own{number}"), 0.001) for number in (1, 3, 5, 7)])  # it is connected
    rng, left = random.Random(1), []
    for _ in range(20):
        await chunk(arm, rng)
        if left := await arm.left_behind():
            break
    assert left


def time_out_often(locks, seed, ends):
    """Many waits in a thread, most of which end in vain."""
    rng, lock = random.Random(seed), locks.lock(f"k{seed % 2}")
    for _ in range(40):
        lease = lock.acquire(timeout=rng.random() * 0.002)
        if lease:
            threading.Event().wait(rng.random() * 0.002)
            lease.release()
        ends.append(bool(lease))


def run_threads(locks, wanted):
    """Eight threads at a time until that many waits have ended in vain; how many did."""
    ends = []
    for seed in range(0, 80 * 8, 8):
        threads = [Running(time_out_often, locks, seed + number, ends) for number in range(8)]
        for thread in threads:
            thread.result()
        if ends.count(False) >= wanted:
            break
    return ends.count(False)


@pytest.fixture
async def sync_arm(kind, urls):
    """The same provider on the sync face."""
    async with AsyncExitStack() as stack:
        made = await make_arm(kind, urls, stack, sync)
        stack.callback(made.locks.close)
        yield made


async def test_timed_out_at_random_leaves_nothing(kind, sync_arm):
    """The sync face, whose waits end by their time limit: no key, waiter, thread or connection stays."""
    threads_before = threading.active_count()
    assert await asyncio.to_thread(run_threads, sync_arm.locks, TIMEOUTS[kind]) >= TIMEOUTS[kind]
    await nothing_left(sync_arm)
    sync_arm.locks.close()
    assert threading.active_count() <= threads_before + 1  # the one that ran the others


async def test_mutant_that_times_out_without_withdrawing_is_caught(redis_url, monkeypatch):
    """The control for threads: a wait that ends in vain and does not leave the line is seen in it."""

    async def stay(self, *arguments):
        return None

    monkeypatch.setattr(RedisBackend, "_withdraw", stay)
    async with AsyncExitStack() as stack:
        arm = await make_arm("redis", [redis_url], stack, sync)
        with arm.locks, arm.locks.lock("k0").hold():
            assert await asyncio.to_thread(arm.locks.lock("k0").acquire, timeout=0.01) is None
            assert any(left.startswith("key: stockade:{stockade:k0}:q") for left in await arm.left_behind())


def test_more_than_ten_thousand_points():
    """What one run cancels, apart from the simulator: tasks, waits of threads, and interrupts of a thread."""
    assert sum(POINTS.values()) + sum(TIMEOUTS.values()) + 2 * INTERRUPTS >= 10_000
