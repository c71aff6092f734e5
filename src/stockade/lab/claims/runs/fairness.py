"""Fairness of the lock in the process: longest and median wait, and how often a later caller went before an earlier.

The control is a lock that whoever looks at the right moment gets. Neighbour: `stockade.locks.memory`.
"""

import asyncio
import itertools
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from stockade.core import JsonValue
from stockade.lab.claims.claim import HOLDS, JAVA, Claim, Measured, Tools
from stockade.locks.aio import MemoryLocks

TASKS, TURNS = 20, 10


class _Barging:
    """A lock without a queue: every waiter looks again each time it runs."""

    def __init__(self) -> None:
        self._taken = False

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        while self._taken:  # noqa: ASYNC110 - an event would be a queue
            await asyncio.sleep(0)
        self._taken = True
        try:
            yield
        finally:
            self._taken = False


async def run(tools: Tools) -> Measured:
    """Let twenty tasks take the lock ten times each."""
    locks = MemoryLocks()
    name = tools.name("fair")
    try:
        fair = await _measure(lambda: locks.lock(name).hold(timeout=30))
    finally:
        await locks.close()
    control = await _measure(_Barging().hold)
    lines = (_line("fair lock", *fair), _line("lock without a queue (control)", *control))
    figures: dict[str, JsonValue] = {
        "inversions": [fair[0], control[0]],
        "median_ms": [round(fair[1], 3), round(control[1], 3)],
        "longest_ms": [round(fair[2], 3), round(control[2], 3)],
    }
    why = "callers are served in order of arrival, so nobody starves"
    return Measured(lines, HOLDS, why, fair[0] == 0 and control[0] > 0, figures)


async def _measure(hold: Callable[[], AbstractAsyncContextManager[object]]) -> tuple[int, float, float]:
    """Inversions, and the median and the longest wait in milliseconds."""
    arrivals, granted, waited = itertools.count(), list[int](), list[float]()

    async def caller() -> None:
        for _ in range(TURNS):
            arrival, start = next(arrivals), time.monotonic()
            async with hold():
                granted.append(arrival)
                waited.append((time.monotonic() - start) * 1000)
                await asyncio.sleep(0)

    await asyncio.gather(*(caller() for _ in range(TASKS)))
    inversions = sum(a > b for a, b in itertools.combinations(granted, 2))
    return inversions, statistics.median(waited), max(waited)


def _line(name: str, inversions: int, median_ms: float, longest_ms: float) -> str:
    return (
        f"{name}: {inversions} inversions in {TASKS * TURNS} grants, median wait {median_ms:.2f} ms, longest"
        f" {longest_ms:.2f} ms ({longest_ms / max(median_ms, 0.001):.1f} times the median)"
    )


CLAIM = Claim("fairness", "ReentrantLock can be fair: nobody starves.", JAVA, run)
