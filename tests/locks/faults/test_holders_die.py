"""Holder processes that are killed or stopped, over every provider that other processes can reach.

Neighbour: `test_redis_faults.py` (how quickly, on Redis; and the server's own faults).
"""

import asyncio
import signal
import subprocess
import sys

import pytest

from stockade.locks import aio
from tests.locks.harness import eventually, waiting

LEASE_S = 0.8
HOLD = """
import sys
from stockade import locks
{make}
lease = provider.lock("a", lease_s={lease_s}, on_lost="raise").acquire()
print(lease.fencing_token, flush=True)
sys.stdin.readline()
try:
    lease.check()
    print("mine", flush=True)
except locks.LockLost:
    print("LockLost", flush=True)
sys.stdin.readline()
"""


@pytest.fixture(
    params=[
        pytest.param("redis", marks=pytest.mark.redis),
        pytest.param("redisspin", marks=pytest.mark.redis),
        pytest.param("rediscluster", marks=pytest.mark.redis),
        pytest.param("quorum", marks=pytest.mark.redis),
        pytest.param("postgres", marks=pytest.mark.postgres),
        pytest.param("mysql", marks=pytest.mark.mariadb),
    ]
)
def place(request):
    """Kind and how to make a provider: the expression is run here and in the other process."""
    prefix = request.node.name
    return request.param, {
        "redis": lambda: f"RedisLocks({request.getfixturevalue('redis_url')!r})",
        "redisspin": lambda: f"RedisLocks({request.getfixturevalue('redis_url')!r}, fair=False)",
        "rediscluster": lambda: f"RedisLocks({request.getfixturevalue('cluster_urls')!r}, cluster=True)",
        "quorum": lambda: f"QuorumLocks({request.getfixturevalue('quorum_urls')!r})",
        "postgres": lambda: f"PostgresLocks({request.getfixturevalue('postgres_url')!r}, prefix={prefix!r})",
        "mysql": lambda: f"MySQLLocks({request.getfixturevalue('mariadb_url')!r}, prefix={prefix!r})",
    }[request.param]()


@pytest.fixture
async def holder(place):
    """Another process that holds the lock, and its token."""
    code = HOLD.format(make=f"provider = locks.{place[1]}", lease_s=LEASE_S)
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.token = int(await asyncio.to_thread(process.stdout.readline))
    yield process
    process.kill()
    process.communicate()


@pytest.fixture
async def provider(place):
    """The same place for this process."""
    async with eval(f"aio.{place[1]}", {"aio": aio}) as made:
        yield made


async def asked(process):
    """What the stopped process answers when it goes on: whether its lease is still its own."""
    process.send_signal(signal.SIGCONT)
    process.stdin.write("\n")
    process.stdin.flush()
    return (await asyncio.to_thread(process.stdout.readline)).strip()


async def test_a_killed_holder_frees_its_lock(holder, provider):
    """Kill -9: the waiter is in when the lease, or the session, has ended, with a higher token."""
    waiter = asyncio.create_task(provider.lock("a").acquire(timeout=10))
    assert await waiting(waiter)
    holder.kill()
    holder.wait()
    lease = await asyncio.wait_for(waiter, 5)
    assert lease.fencing_token > holder.token
    await lease.release()


async def test_a_stopped_holder_is_told_or_keeps_its_lock(place, holder, provider):
    """SIGSTOP beyond the lease: a lease passes on and its holder learns it; a session keeps its lock, as it lives."""
    holder.send_signal(signal.SIGSTOP)
    waiter = asyncio.create_task(provider.lock("a").acquire(timeout=20))
    if place[0] in ("postgres", "mysql"):
        assert await waiting(waiter, 2 * LEASE_S)
        assert await asked(holder) == "LockLost"  # by its own clock: it had no sign of life for longer than its lease
        holder.kill()
    lease = await asyncio.wait_for(waiter, 10)
    assert lease.fencing_token > holder.token
    if place[0] not in ("postgres", "mysql"):
        assert await asked(holder) == "LockLost"
        lease.check()
    await lease.release()


async def test_a_holder_that_lives_keeps_its_lock(holder, provider):
    """The control: beyond its lease, but renewed, no other is let in."""
    waiter = asyncio.create_task(provider.lock("a").acquire(timeout=20))
    assert await waiting(waiter, 2 * LEASE_S)
    assert await asked(holder) == "mine"
    waiter.cancel()
    await eventually(waiter.done)
