"""Clients of real locks, recorded and judged: `mutual-exclusion` and `linearizable` hold, and both see a broken lock.

The mutants of `tests/lab/mutants/locks.py` are found by the same rules, in the simulator.
"""

import asyncio
import time
from types import SimpleNamespace

import pytest

from stockade.lab.checkers import judge
from stockade.locks import aio
from tests.lab.lock_recorder import KEY, LockRecorder

CLIENTS, TURNS, WAIT_S = 4, 3, 10.0
MAKERS = {
    "memory": lambda request: aio.MemoryLocks(),
    "redis": lambda request: aio.RedisLocks(request.getfixturevalue("redis_url")),
    "postgres": lambda request: aio.PostgresLocks(request.getfixturevalue("postgres_url"), prefix=request.node.name),
    "mysql": lambda request: aio.MySQLLocks(request.getfixturevalue("mariadb_url"), prefix=request.node.name),
}
MARKS = {"redis": pytest.mark.redis, "postgres": pytest.mark.postgres, "mysql": pytest.mark.mariadb}


class NoLock:
    """A lock that everybody gets at once."""

    def __init__(self):
        self.tokens = 0

    def lock(self, name):
        return self

    async def acquire(self, timeout):
        self.tokens += 1

        async def release():
            return None

        return SimpleNamespace(fencing_token=self.tokens, release=release)

    async def close(self):
        return None


async def client(number, provider, recorder, barrier):
    """Take the lock in turn; read and write under it, with the others between."""
    for turn in range(TURNS):
        owner = f"client {number}, turn {turn}"
        await barrier.wait()
        began = time.monotonic()
        lease = await provider.lock(KEY).acquire(timeout=WAIT_S)
        assert lease is not None
        recorder.acquired(number, owner, (began, time.monotonic()), granted=True)
        for kind in ("read", "write"):
            recorder.accessed(number, owner, lease.fencing_token or 0, kind, time.monotonic(), applied=True)
            await asyncio.sleep(0)  # the others run, as in a program that asks its database here
        began = time.monotonic()
        await lease.release()
        recorder.released(number, owner, (began, time.monotonic()), known=True)


async def rules_broken(provider):
    """The rules that the history of some clients breaks."""
    recorder, barrier = LockRecorder(), asyncio.Barrier(CLIENTS)
    try:
        async with asyncio.timeout(30.0):
            await asyncio.gather(*(client(number, provider, recorder, barrier) for number in range(CLIENTS)))
    finally:
        await provider.close()
    assert len(recorder.accesses) == CLIENTS * TURNS * 2
    return {each.rule for each in judge(recorder.history(time.monotonic()))}


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=MARKS[kind]) if kind in MARKS else kind for kind in MAKERS])
async def test_a_real_lock_breaks_no_rule(kind, request):
    """One holder at a time, at the resource and in the calls."""
    assert not await rules_broken(MAKERS[kind](request))


async def test_a_lock_that_everybody_gets_breaks_both():
    """The control."""
    assert await rules_broken(NoLock()) >= {"mutual-exclusion", "linearizable"}
