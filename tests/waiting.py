"""Waiting for what another process or task does: by looking again, with a deadline. The only sleeps of the suite."""

import asyncio
import time

LOOK_AGAIN_S = 0.005


def eventually(condition, limit_s=10.0):
    """Return the first true answer of `condition()`; fail after `limit_s` seconds."""
    end = time.monotonic() + limit_s
    while not (answer := condition()):
        assert time.monotonic() < end, f"not within {limit_s} s: {condition}"
        time.sleep(LOOK_AGAIN_S)
    return answer


async def turns_until(condition, limit_s=10.0):
    """Let the other tasks of the loop run, turn by turn, until `condition()` is true; fail after `limit_s` seconds."""
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, f"not within {limit_s} s: {condition}"
        await asyncio.sleep(0)


async def eventually_async(condition, limit_s=10.0):
    """The same on the event loop, for a coroutine function."""
    end = time.monotonic() + limit_s
    while not (answer := await condition()):
        assert time.monotonic() < end, f"not within {limit_s} s: {condition}"
        await asyncio.sleep(LOOK_AGAIN_S)
    return answer
