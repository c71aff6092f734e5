"""The other step 2 and 3: an open loop. Each request is sent at its own time, whatever was answered.

The latency counts from the time at which a request was due, so that a sender that is late hides nothing (coordinated
omission). Neighbours: `collect.py` is the way for requests that are sent together.
"""

import asyncio
import time
from collections.abc import Sequence

from stockade.race.http.address import Address
from stockade.race.http.connection import Connection, Message
from stockade.race.result import Answer
from stockade.race.steps.collect import late
from stockade.race.steps.release import allow_connections

_LEAD_S = 0.5  # a connection is opened so long before its request is due


async def send_at_rate(
    address: Address, messages: Sequence[Message], *, rate_per_s: float, keys: int, timeout_s: float
) -> tuple[list[Answer], float]:
    """Send the requests at an even rate and wait for their answers.

    Args:
        address: of the target.
        messages: one for each buyer.
        rate_per_s: requests for each second.
        keys: different keys that the buyers share in turn.
        timeout_s: longest time from when a request is due to its answer, in seconds.

    Returns:
        The answers in the order of the buyers, and the largest lateness of a request in seconds.

    Raises:
        RaceError: more connections than this process may open, or a request that is none.
    """
    allow_connections(len(messages))
    begin_s = time.perf_counter() + _LEAD_S
    lateness_s = [0.0]

    async def one(buyer: int, message: Message) -> Answer:
        due_s = begin_s + buyer / rate_per_s
        key = buyer % keys
        await asyncio.sleep(due_s - _LEAD_S - time.perf_counter())
        connection = None
        try:
            async with asyncio.timeout(_LEAD_S + timeout_s):
                connection = await Connection.open(address)
                await asyncio.sleep(due_s - time.perf_counter())
                sent_s = time.perf_counter()
                lateness_s[0] = max(lateness_s[0], sent_s - due_s)
                await connection.send(message)
                got, ended_s = await connection.response(), time.perf_counter()
                return Answer(buyer, key, str(message), ended_s - due_s, got, sent_s=sent_s, ended_s=ended_s)
        except TimeoutError:
            return late(message, buyer, key, timeout_s)
        except OSError as error:
            return Answer(buyer, key, str(message), 0.0, error=f"the connection broke: {error.strerror or error}")
        finally:
            if connection:
                connection.close()

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(buyer, message)) for buyer, message in enumerate(messages)]
    except BaseExceptionGroup as errors:  # a request that is none of HTTP
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks], lateness_s[0]
