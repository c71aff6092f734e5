"""Pauses of background work that end early when the work is to stop."""

import asyncio


async def stopped_within(stop: asyncio.Event, pause_s: float) -> bool:
    """Wait until `stop` is set, at most `pause_s` seconds.

    Args:
        stop: set by whoever ends the work.
        pause_s: the longest to wait, in seconds.

    Returns:
        Whether it is set.
    """
    try:
        async with asyncio.timeout(pause_s):
            await stop.wait()
    except TimeoutError:
        return False
    return True
