"""Read/write locks and semaphores, over every provider that has them."""

import asyncio
import contextlib
import random
from typing import Any

import pytest

from stockade.locks import LockReentry, aio
from tests.locks.harness import queued, waiting, work_for


@pytest.fixture
def shared(world):
    """A provider with shared kinds of lock."""
    if not world.shared:
        pytest.skip("this provider has no shared locks")
    return world.provider()


async def test_readers_share_and_writers_do_not(world, shared):
    """Two readers hold together, a writer waits for both, then holds alone."""
    rw = shared.rwlock("doc")
    alice, bob, carol, dave = (world.actor() for _ in range(4))
    first, second = await alice(rw.read.acquire), await bob(rw.read.acquire)
    writer = carol(rw.write.acquire)
    assert await waiting(writer)
    await alice(first.release)
    assert await waiting(writer)
    await bob(second.release)
    lease = await writer
    assert await dave(rw.read.try_acquire) is None
    await carol(lease.release)
    again = await dave(rw.read.try_acquire)
    await dave(again.release)


async def test_a_waiting_writer_stops_later_readers(world, shared):
    """Writers do not starve: a reader that comes after a waiting writer waits behind it."""
    if not world.fair:
        pytest.skip("this provider promises no order")
    rw = shared.rwlock("doc")
    alice, bob, carol = (world.actor() for _ in range(3))
    reader = await alice(rw.read.acquire)
    writer = bob(rw.write.acquire)
    await queued(world, rw.write, 1)
    late = carol(rw.read.acquire)
    await queued(world, rw.write, 2)
    await alice(reader.release)
    lease = await writer
    assert await waiting(late)
    await bob(lease.release)
    await carol((await late).release)


async def test_upgrade_is_refused(world, shared):
    """A reader that asks to write would wait for itself."""
    rw, alice = shared.rwlock("doc"), world.actor()
    lease = await alice(rw.read.acquire)
    with pytest.raises(LockReentry):
        await alice(rw.write.acquire)
    await alice(lease.release)


async def test_semaphore_admits_its_permits(world, shared):
    """Two of two permits are given, the third caller waits for the first release."""
    permits = shared.semaphore("pool", 2)
    alice, bob, carol = (world.actor() for _ in range(3))
    first, second = await alice(permits.acquire), await bob(permits.acquire)
    third = carol(permits.acquire)
    assert await waiting(third)
    assert len((await world.actor()(permits.inspect)).holders) == 2
    await alice(first.release)
    await carol((await third).release)
    await bob(second.release)
    assert not await bob(permits.locked)


async def test_one_actor_may_hold_two_permits(world, shared):
    """Permits are not bound to the caller; `release` gives back the newest first."""
    permits, alice = shared.semaphore("pool", 2), world.actor()
    older, newer = await alice(permits.acquire), await alice(permits.acquire)
    await alice(permits.release)
    assert newer.released
    assert not older.released
    await alice(permits.release)
    assert older.released


class Rooms:
    """Counts who is inside of each room, and how often somebody should not have been."""

    def __init__(self) -> None:
        self.readers = self.writers = self.guests = self.broken = 0

    async def visit(self, lock: Any, who: str, seconds: float) -> None:
        """Enter, look around, leave."""
        async with lock:
            setattr(self, who, getattr(self, who) + 1)
            self.broken += self.writers > 1 or bool(self.writers and self.readers) or self.guests > 2
            try:
                await work_for(seconds)
            finally:
                setattr(self, who, getattr(self, who) - 1)


@pytest.mark.parametrize("place", ["memory", pytest.param("redis", marks=pytest.mark.redis), "nowhere"])
async def test_many_visitors_break_no_rule(request, place):
    """1,200 readers, writers and guests, a third of them cancelled: no rule is broken; without locks many are."""
    rng, rooms, loop = random.Random(8), Rooms(), asyncio.get_running_loop()
    url = request.getfixturevalue("redis_url") if place == "redis" else ""
    async with aio.RedisLocks(url) if url else aio.MemoryLocks() as locks:
        rw, permits = locks.rwlock("room"), locks.semaphore("table", 2)
        doors = [(rw.read, "readers"), (rw.read, "readers"), (rw.write, "writers"), (permits, "guests")]
        for _ in range(12):
            tasks = []
            for _ in range(100):
                lock, who = rng.choice(doors)
                if place == "nowhere":
                    lock = contextlib.nullcontext()
                tasks.append(asyncio.create_task(rooms.visit(lock, who, rng.random() * 0.001)))
                if rng.random() < 0.33:
                    loop.call_later(rng.random() * 0.02, tasks[-1].cancel)
            await asyncio.gather(*tasks, return_exceptions=True)
    assert (rooms.readers, rooms.writers, rooms.guests) == (0, 0, 0)
    assert (rooms.broken > 100) if place == "nowhere" else (rooms.broken == 0)
