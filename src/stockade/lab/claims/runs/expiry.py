"""A spin lock whose holder is killed: without an expiry it is never free, with one it is free at the latest then."""

import asyncio
import sys
import time
from typing import NamedTuple

from stockade.core import JsonValue
from stockade.lab.claims.claim import HOLDS, KOTLIN, Claim, Measured, Tools
from stockade.lab.errors import LabError
from stockade.locks.redis.transport.multiplexed import MultiplexedTransport

LIFETIME_MS, SPIN_S, CALL_S, START_S = 3000, 0.010, 2.0, 20.0
BOUND_S = LIFETIME_MS / 1000 + 0.5  # an observation of "for ever" has to end
EARLY_S = 0.05  # by which a key may seem to go before its expiry: its end is measured from outside


class Waited(NamedTuple):
    """How long a lock was held after its holder was killed.

    Attributes:
        free_s: until it was free, in seconds, since `left_s` was asked for; None: not within the bound.
        left_s: how long its key should have lasted, by the server; below 0: for ever.
    """

    free_s: float | None
    left_s: float


async def run(tools: Tools) -> Measured:
    """Kill a holder without and one with an expiry."""
    endless, ending = await asyncio.gather(*(_wait(tools, lifetime) for lifetime in (0, LIFETIME_MS)))
    free = "never" if ending.free_s is None else f"{ending.free_s * 1000:.0f} ms"
    until_then = ending.free_s is not None and 0 < ending.left_s <= ending.free_s + EARLY_S
    lines = (
        (
            f"no expiry, holder killed: {'still held' if endless.free_s is None else 'free'} after {BOUND_S:g} s of"
            " spinning, where the observation ends"
        ),
        (
            f"expiry of {LIFETIME_MS} ms, holder killed: free {free} after the kill, where {ending.left_s * 1000:.0f}"
            " ms were left"
        ),
    )
    expected = endless.free_s is None and endless.left_s < 0 and until_then
    figures: dict[str, JsonValue] = {
        "bound_ms": BOUND_S * 1000,
        "free_after_ms": None if ending.free_s is None else round(ending.free_s * 1000, 1),
        "left_ms": round(ending.left_s * 1000, 1),
    }
    return Measured(lines, HOLDS, "nobody but its holder removes a key that has no expiry", expected, figures)


async def _wait(tools: Tools, lifetime_ms: int) -> Waited:
    """Kill a holder, and spin until its lock is free."""
    name, url = tools.name("spin"), tools.redis_url
    holder = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "stockade.lab.claims.holder",
        url,
        name,
        str(lifetime_ms),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert holder.stdout is not None
    transport = MultiplexedTransport(url)
    try:
        async with asyncio.timeout(START_S):
            if await holder.stdout.readline() != b"held\n":
                raise LabError("the process that should hold the lock did not")
        holder.kill()
        await holder.wait()
        start = time.monotonic()
        left_s = int(await transport.call("PTTL", name, timeout_s=CALL_S)) / 1000
        while time.monotonic() < start + BOUND_S:
            if await transport.call("SET", name, "lock", "NX", "PX", LIFETIME_MS, timeout_s=CALL_S):
                return Waited(time.monotonic() - start, left_s)
            await asyncio.sleep(SPIN_S)
        return Waited(None, left_s)
    finally:
        if holder.returncode is None:
            holder.kill()
            await holder.wait()
        await transport.call("DEL", name, timeout_s=CALL_S)
        await transport.close()


CLAIM = Claim(
    "expiry",
    "Without an expiry a killed holder's lock is waited for for ever.",
    KOTLIN,
    run,
    needs=frozenset({"redis"}),
)
