"""Repeats a transaction that lost against orders: a deadlock or a wait for a lock changes nothing.

Between two attempts is a pause that grows, so that a burst of orders passes by.
"""

import asyncio
import random
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from stockade.core import Backoff, Busy
from stockade.drivers.failures import Failure, classify, describe
from stockade.store import Database

T = TypeVar("T")

ATTEMPTS = 8
BACKOFF = Backoff(retries=ATTEMPTS, first_ms=40, cap_ms=1_000)
WAIT_S = 60.0  # of one attempt
_RANDOM = random.Random()
_LOST_TO_OTHERS = (Failure.DEADLOCK, Failure.CONFLICT, Failure.TIMEOUT)


async def transaction(database: Database, body: Callable[[Connection], T], *, wait_s: float = WAIT_S) -> T:
    """Run a function in a transaction, at most `ATTEMPTS` times.

    Raises:
        Busy: each attempt lost against other transactions (LOCK_TIMEOUT), or the database cannot be used.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return await database.write(body, timeout_s=wait_s)
        except DBAPIError as error:
            if classify(error) not in _LOST_TO_OTHERS:
                raise
            if attempt == ATTEMPTS:
                raise Busy(f"other transactions won {ATTEMPTS} times: {describe(error)}", "LOCK_TIMEOUT") from error
        await asyncio.sleep(BACKOFF.pause_s(attempt, _RANDOM))
    raise AssertionError("the last attempt returns or raises")
