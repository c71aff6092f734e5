"""Pub/sub against spin: Redis commands for each acquisition, and how long after a release the next one has the lock."""

import asyncio
import statistics
import time
from dataclasses import replace

from stockade.core import JsonValue
from stockade.lab.claims.claim import BOTH, HOLDS_ONLY_WHEN, Claim, Measured, Tools
from stockade.lab.targets.redis_commands import commands_sent
from stockade.locks.aio import RedisLocks, RedisTuning
from stockade.locks.redis.transport.multiplexed import MultiplexedTransport

WAITERS, WORK_S = 8, 0.04
SPIN_S = 0.010  # the Kotlin project's report


async def run(tools: Tools) -> Measured:
    """Let eight callers come at once, under both ways to wait."""
    server = tools.private_redis()
    spin = await _measure(tools, server.url, fair=False)
    queued = await _measure(tools, server.url, fair=True)
    server.end()
    lines = (
        (
            f"spin, a try each {SPIN_S * 1000:.0f} ms: {spin[0]:.1f} commands per acquisition, the next holder"
            f" {spin[1]:.2f} ms after a release (median)"
        ),
        f"notice by pub/sub: {queued[0]:.1f} commands per acquisition, the next holder {queued[1]:.2f} ms after",
    )
    figures: dict[str, JsonValue] = {
        "commands_per_acquisition": {"spin": round(spin[0], 2), "pubsub": round(queued[0], 2)},
        "wake_up_ms": {"spin": round(spin[1], 3), "pubsub": round(queued[1], 3)},
        "waiters": WAITERS,
        "work_ms": WORK_S * 1000,
    }
    why = (
        f"others wait: here {WAITERS} callers at once, each with {WORK_S * 1000:.0f} ms of work; alone both are one try"
    )
    return Measured(lines, HOLDS_ONLY_WHEN, why, queued[0] < spin[0], figures)


async def _measure(tools: Tools, url: str, *, fair: bool) -> tuple[float, float]:
    """Commands per acquisition, and the median time from a release to the next grant, in milliseconds."""
    name, released, gaps = tools.name("wake"), list[float](), list[float]()
    locks = RedisLocks(url, replace(RedisTuning(), spin_s=SPIN_S), fair=fair, lease_s=3.0)
    counter = MultiplexedTransport(url)

    async def caller() -> None:
        async with locks.lock(name).hold(timeout=30):
            if released:
                gaps.append((time.monotonic() - released[-1]) * 1000)
            await asyncio.sleep(WORK_S)
            released.append(time.monotonic())

    try:
        before = await commands_sent(counter)
        await asyncio.gather(*(caller() for _ in range(WAITERS)))
        commands = await commands_sent(counter) - before
    finally:
        await counter.close()
        await locks.close()
    return commands / WAITERS, statistics.median(gaps)


CLAIM = Claim("wake-up", "Pub/sub saves the server the load of a spin lock.", BOTH, run, needs=frozenset({"redis"}))
