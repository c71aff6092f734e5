"""The deadlock of a connection pool: callers that hold a connection and need a second one, from the same pool.

No database sees it: nobody waits for a row. The Java project's annotation lock opens a transaction of its own
(REQUIRES_NEW) inside the caller's, which is this. Here a caller locks first, and then has one transaction. The pool is
that of the store. Neighbour: `experiments.py`.
"""

import asyncio
import time
from dataclasses import dataclass

from sqlalchemy import Connection
from sqlalchemy.util import await_only

from stockade.core import Busy
from stockade.lab.deadlock.finding import Finding
from stockade.locks.aio import MemoryLocks
from stockade.store import Database

POOL, CALLERS, BOUND_S = 2, 8, 1.0


@dataclass(slots=True)
class _Held:
    """How many connections are held, and whether all of them are."""

    full: asyncio.Event
    count: int = 0


async def second_connection(url: str) -> Finding:
    """Every caller holds one connection and asks for another: nobody finishes."""
    database = await Database.open(url, pool_size=POOL)
    held, deadline = _Held(asyncio.Event()), time.monotonic() + BOUND_S

    def outer(connection: Connection) -> None:
        _use(connection)
        held.count += 1
        if held.count == POOL:
            held.full.set()
        await_only(held.full.wait())  # no connection is left when the first second one is asked for
        await_only(database.transaction(_use, deadline=deadline))

    try:
        finished, seconds = await _all(lambda: database.transaction(outer, deadline=deadline))
    finally:
        await database.close()
    return _finding("a second connection inside the first", "", finished, seconds, must=0)


async def lock_first(url: str) -> Finding:
    """Every caller takes the lock first, holding no connection, and then has one transaction: all finish."""
    database = await Database.open(url, pool_size=POOL)
    locks, deadline = MemoryLocks(), time.monotonic() + BOUND_S

    async def call() -> None:
        async with locks.lock("lab-pool").hold(timeout=BOUND_S):
            await database.transaction(_use, deadline=deadline)

    try:
        finished, seconds = await _all(call)
    finally:
        await locks.close()
        await database.close()
    return _finding("the lock first, then one transaction", "hold and wait", finished, seconds, must=CALLERS)


async def _all(call: object) -> tuple[int, float]:
    """How many of the callers finish, and after how long all have ended."""
    assert callable(call)
    start = time.monotonic()
    ends = await asyncio.gather(*(call() for _ in range(CALLERS)), return_exceptions=True)
    for end in ends:
        if isinstance(end, BaseException) and not isinstance(end, Busy):
            raise end
    return sum(not isinstance(end, Busy) for end in ends), time.monotonic() - start


def _use(connection: Connection) -> None:
    connection.exec_driver_sql("SELECT 1")


def _finding(name: str, removed: str, finished: int, seconds: float, *, must: int) -> Finding:
    figures = {"pool": POOL, "callers": CALLERS, "finished": finished, "bound_s": BOUND_S, "seconds": round(seconds, 3)}
    said = f"{finished} of {CALLERS} finished, pool of {POOL}, {seconds:.2f} s"
    return Finding("pool", name, removed, f"{must} of {CALLERS} within {BOUND_S:g} s", said, finished == must, figures)
