"""Step 3 of a round: fire, and collect every answer within one time limit.

The readers wait before the release, so that the first answers are not read late, and an answer that comes before it is
seen. Neighbours: `release.py` has prepared
the requests; `verdict.py` judges the answers.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

from stockade.race.result import Answer
from stockade.race.steps.release import Prepared, release_together, settle, too_early


async def fire(requests: Sequence[Prepared], keys: int, timeout_s: float) -> tuple[list[Answer], float]:
    """Release the requests and wait for their answers.

    Args:
        requests: prepared, one for each buyer.
        keys: different keys that the buyers share in turn.
        timeout_s: longest time from the release to the last answer, in seconds.

    Returns:
        The answers in the order of the buyers, and the spread of the release in seconds.

    Raises:
        RaceError: the server answered before the release.
    """
    tasks = [asyncio.create_task(_answer(each, buyer, buyer % keys)) for buyer, each in enumerate(requests)]
    rests: list[asyncio.Task[None]] = []
    try:
        await settle(requests)
        spread_s = release_together(requests)
        rests = [asyncio.create_task(_finish(each)) for each in requests if each.connection.has_rest]
        await asyncio.wait(tasks, timeout=timeout_s)
        return [
            task.result() if task.done() else _given_up(each, buyer, buyer % keys, timeout_s)
            for buyer, (each, task) in enumerate(zip(requests, tasks, strict=True))
        ], spread_s
    finally:
        for task in (*tasks, *rests):
            task.cancel()
        await asyncio.gather(*tasks, *rests, return_exceptions=True)


async def _answer(request: Prepared, buyer: int, key: int) -> Answer:
    try:
        response = await request.connection.response()
    except OSError as error:
        said = request.error or f"the connection broke: {error.strerror or error}"
        return Answer(buyer, key, str(request.message), 0.0, error=said)
    if not request.released_s:
        raise too_early(request)
    sent_s, ended_s = request.released_s, time.perf_counter()
    return Answer(buyer, key, str(request.message), ended_s - sent_s, response, sent_s=sent_s, ended_s=ended_s)


async def _finish(request: Prepared) -> None:
    try:
        await request.connection.finish()
    except OSError as error:
        request.error = f"the connection broke before the request was complete: {error.strerror or error}"


def _given_up(request: Prepared, buyer: int, key: int, timeout_s: float) -> Answer:
    """The answer of a request that got none in time; what was wrong with it when it was sent is the reason."""
    answer = late(request.message, buyer, key, timeout_s)
    return replace(answer, error=request.error or answer.error)


def late(message: object, buyer: int, key: int, timeout_s: float) -> Answer:
    """The answer of a request that got none in time."""
    return Answer(buyer, key, str(message), timeout_s, error=f"no answer within {timeout_s:g} s")
