"""A batch in flight, as the batches after it see it: what it changes, and when it has ended.

Neighbours: `pending_batch` holds one for each batch, `single_statement.speculation` registers it.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence

from stockade.core import Key, Row


class InFlightBatch:
    """What later batches must know of a batch that is sent and has not ended.

    Attributes:
        earlier: batches on the same last rows that were in flight when this one was registered.
        ended: set when the batch has its answers.
        registered: whether it was decided on expected rows, and is sent.
        rows: rows that it changes, as it leaves them.
    """

    __slots__ = ("earlier", "ended", "registered", "rows")

    def __init__(self) -> None:
        self.earlier: Sequence[InFlightBatch] = ()
        self.ended = asyncio.Event()
        self.registered = False
        self.rows: Mapping[Key, Row] = {}


async def wait_until_ended(batches: Sequence[InFlightBatch], deadline: float) -> bool:
    """Wait for batches; False if there are none, or if they have not ended at the deadline (monotonic clock)."""
    if not batches:
        return False
    try:
        async with asyncio.timeout(deadline - time.monotonic()):
            for each in batches:
                await each.ended.wait()
    except TimeoutError:
        return False
    return True
