"""A spin lock whose holder is killed: without an expiry it is never free, with one it is free at the latest then."""

import asyncio
import sys
import time

from stockade.core import JsonValue
from stockade.lab.claims.claim import HOLDS, KOTLIN, Claim, Measured, Tools
from stockade.lab.errors import LabError
from stockade.locks.redis.transport.multiplexed import MultiplexedTransport

LIFETIME_MS, SPIN_S, CALL_S, START_S = 3000, 0.010, 2.0, 20.0
BOUND_S = LIFETIME_MS / 1000 + 0.5  # an observation of "for ever" has to end


async def run(tools: Tools) -> Measured:
    """Kill a holder without and one with an expiry."""
    endless_s, with_expiry_s = await asyncio.gather(*(_wait(tools, lifetime) for lifetime in (0, LIFETIME_MS)))
    free = "never" if with_expiry_s is None else f"{with_expiry_s * 1000:.0f} ms"
    lines = (
        (
            f"no expiry, holder killed: {'still held' if endless_s is None else 'free'} after {BOUND_S:g} s of"
            " spinning, where the observation ends"
        ),
        f"expiry of {LIFETIME_MS} ms, holder killed: free {free} after the kill",
    )
    expected = endless_s is None and with_expiry_s is not None
    figures: dict[str, JsonValue] = {
        "bound_ms": BOUND_S * 1000,
        "free_after_ms": None if with_expiry_s is None else round(with_expiry_s * 1000, 1),
    }
    return Measured(lines, HOLDS, "nobody but its holder removes a key that has no expiry", expected, figures)


async def _wait(tools: Tools, lifetime_ms: int) -> float | None:
    """Kill a holder, and spin until its lock is free; None: not within the bound."""
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
        while time.monotonic() < start + BOUND_S:
            if await transport.call("SET", name, "lock", "NX", "PX", LIFETIME_MS, timeout_s=CALL_S):
                return time.monotonic() - start
            await asyncio.sleep(SPIN_S)
        return None
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
