"""Step 3 of a round: fire, and collect every answer within one time limit.

The readers wait before the release, so that the first answers are not read late. Neighbours: `release.py` has prepared
the requests; `verdict.py` judges the answers.
"""

import asyncio
import time
from collections.abc import Sequence

from stockade.race.result import Answer
from stockade.race.steps.release import Prepared, release_together


async def fire(requests: Sequence[Prepared], keys: int, timeout_s: float) -> tuple[list[Answer], float]:
    """Release the requests and wait for their answers.

    Args:
        requests: prepared, one for each buyer.
        keys: different keys that the buyers share in turn.
        timeout_s: longest time from the release to the last answer, in seconds.

    Returns:
        The answers in the order of the buyers, and the spread of the release in seconds.
    """
    tasks = [asyncio.create_task(_answer(each, buyer, buyer % keys)) for buyer, each in enumerate(requests)]
    try:
        await asyncio.sleep(0)  # now every reader waits for its socket
        spread_s = release_together(requests)
        await asyncio.wait(tasks, timeout=timeout_s)
        return [
            task.result() if task.done() else late(each.message, buyer, buyer % keys, timeout_s)
            for buyer, (each, task) in enumerate(zip(requests, tasks, strict=True))
        ], spread_s
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _answer(request: Prepared, buyer: int, key: int) -> Answer:
    try:
        response = await request.connection.response()
    except OSError as error:
        said = request.error or f"the connection broke: {error.strerror or error}"
        return Answer(buyer, key, str(request.message), 0.0, error=said)
    latency_s = max(time.perf_counter() - request.released_s, 0.0)
    return Answer(buyer, key, str(request.message), latency_s, response)


def late(message: object, buyer: int, key: int, timeout_s: float) -> Answer:
    """The answer of a request that got none in time."""
    return Answer(buyer, key, str(message), timeout_s, error=f"no answer within {timeout_s:g} s")
