"""Repeats a transaction in which two processes may insert the same row at the same time.

Neighbours: `store.consumer_offsets` and `store.outbox` insert the rows of their partitions so.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from stockade.drivers.failures import Failure, classify

T = TypeVar("T")

MAX_TRIES = 5


async def repeat_if_taken(transact: Callable[[], Awaitable[T]]) -> T:
    """Run a transaction; run it again, MAX_TRIES times in all, if another process has inserted the same key.

    Args:
        transact: looks for the row, and inserts it where there is none.
    """
    for _ in range(MAX_TRIES - 1):
        try:
            return await transact()
        except Exception as error:
            if classify(error) is not Failure.DUPLICATE:
                raise
    return await transact()
