"""A lease of 1 s and a job of 1.5 s: two holders at once, which is detected and never hidden; renewal prevents it."""

import asyncio
import time

from stockade.core import JsonValue
from stockade.lab.claims.claim import FALSE, KOTLIN, Claim, Measured, Tools
from stockade.locks import LockLost
from stockade.locks.aio import RedisLocks

LEASE_S, JOB_S, WAIT_S = 1.0, 1.5, 10.0


async def run(tools: Tools) -> Measured:
    """Do the job without and with renewal."""
    short, renewed = await asyncio.gather(_job(tools, renew=False), _job(tools, renew=True))
    lines = (
        (
            f"lease {LEASE_S:g} s, job {JOB_S:g} s: the next caller had the lock {short[1] * 1000:.0f} ms before its"
            f" end, the holder was told {short[0] or 'nothing'}"
        ),
        (
            f"the same, renewed while the holder lives: the next caller came {-renewed[1] * 1000:.0f} ms after the end,"
            f" the holder was told {renewed[0] or 'nothing'}"
        ),
    )
    expected = short[0] == "LOCK_LOST" and short[1] > 0 and not renewed[0] and renewed[1] <= 0
    figures: dict[str, JsonValue] = {"overlap_ms": [round(short[1] * 1000, 1), round(renewed[1] * 1000, 1)]}
    return Measured(
        lines, FALSE, "one job that takes longer is enough; the lease alone does not exclude", expected, figures
    )


async def _job(tools: Tools, *, renew: bool) -> tuple[str, float]:
    """What the holder was told at its end, and for how long another one held the lock beside it, in seconds."""
    name = tools.name("lease")
    mine, others = RedisLocks(tools.redis_url), RedisLocks(tools.redis_url)
    told, next_at = "", 0.0

    async def come_next() -> float:
        async with others.lock(name, lease_s=LEASE_S).hold(timeout=WAIT_S):
            return time.monotonic()

    try:
        lease = await mine.lock(name, lease_s=LEASE_S, renew=renew, on_lost="raise").acquire(timeout=WAIT_S)
        assert lease is not None
        waiting = asyncio.create_task(come_next())
        await asyncio.sleep(JOB_S)
        end = time.monotonic()
        try:
            await lease.release()
        except LockLost as error:
            told = error.code
        next_at = await waiting
    finally:
        await mine.close()
        await others.close()
    return told, end - next_at


CLAIM = Claim(
    "short-lease",
    "A lease of 1 s is enough, because the work takes hundreds of milliseconds.",
    KOTLIN,
    run,
    needs=frozenset({"redis"}),
)
