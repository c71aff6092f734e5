"""Cancel locks at random, many at once, and look for what stayed behind: on the server and in the process.

Neighbours: `test_cancellation.py` (the points of each face), `test_interrupt.py` (Ctrl-C in a thread).
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests.locks.harness import eventually, work_for

ROUNDS = 400  # no arm needs more
CLEAN_UP_S = 8.0  # PostgreSQL looks each second whether a waiting client is still there


@dataclass
class Arm:
    """One provider that is cancelled, and who looks at its server.

    Attributes:
        locks: the provider.
        on_server: what the server still has: keys, waiters, connections beyond those allowed.
        at_once: tasks in flight together.
        span_s: each is cancelled within so many seconds.
        hold_s: how long a visit holds at most.
    """

    locks: Any
    on_server: Callable[[], Awaitable[list[str]]]
    at_once: int = 200
    span_s: float = 0.03
    hold_s: float = 0.0005

    async def left_behind(self) -> list[str]:
        """Everything that should have gone."""
        return [*self.here(), *await self.on_server()]

    def here(self) -> list[str]:
        """What this process still remembers of locks that nobody holds."""
        keeper, backend = self.locks.keeper, self.locks.backend
        found = [f"held: {key}" for key in keeper._held]
        found += [f"renewed: {owner}" for owner in keeper.renewer._leases]
        found += [f"unfinished: {task}" for task in getattr(self.locks.port, "_unfinished", ())]
        if (room := getattr(backend, "_room", None)) is not None:
            found += [f"waits: {owner}" for owner in (*room._waits, *room._lines)]
        if (sessions := getattr(backend, "_held", None)) is not None:
            found += [f"session: {owner}" for owner in sessions]
        if (names := getattr(backend, "names_in_use", 0)) != 0:
            found.append(f"{names} names in use")
        return found


async def visit(arm: Arm, name: str, rng: random.Random) -> None:
    """Take the lock and give it back; this may be cancelled anywhere."""
    async with arm.locks.lock(name):
        await work_for(rng.random() * arm.hold_s)


async def chunk(arm: Arm, rng: random.Random) -> int:
    """Many visits at once, half to locks of their own, half to three that all want; how many were cancelled."""
    loop = asyncio.get_running_loop()
    tasks = []
    for number in range(arm.at_once):
        name = f"own{number}" if number % 2 else f"hot{rng.randrange(3)}"
        tasks.append(asyncio.create_task(visit(arm, name, rng)))
        loop.call_later(rng.random() * arm.span_s, tasks[-1].cancel)
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    for end in ends:
        if isinstance(end, Exception):
            raise end
    await arm.locks.port.settle()
    return sum(isinstance(end, asyncio.CancelledError) for end in ends)


async def cancel_at_random(arm: Arm, points: int, seed: int = 1) -> int:
    """At least `points` cancelled visits, with a look for orphans after each chunk.

    Raises:
        AssertionError: something stayed behind.
    """
    rng, cancelled = random.Random(seed), 0
    for _ in range(ROUNDS):
        cancelled += await chunk(arm, rng)
        await nothing_left(arm)
        if cancelled >= points:
            return cancelled
    raise AssertionError(f"only {cancelled} of {points} visits were cancelled")


async def nothing_left(arm: Arm) -> None:
    """What is ended by the server in its own time is waited for, a little; then nothing may be there."""
    found = await arm.left_behind()
    if found:
        try:
            await eventually(lambda: _gone(arm), CLEAN_UP_S)
        except AssertionError:
            raise AssertionError(f"left behind: {(await arm.left_behind())[:5]}") from None


async def _gone(arm: Arm) -> bool:
    return not await arm.left_behind()
