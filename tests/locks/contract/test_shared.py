"""Read/write locks and semaphores under many callers, a third of them cancelled."""

import asyncio
import contextlib
import random
from typing import Any

import pytest

from stockade.locks import aio
from tests.locks.harness import work_for


class Rooms:
    """Counts the visitors of each kind, and how often one should not have been inside."""

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
