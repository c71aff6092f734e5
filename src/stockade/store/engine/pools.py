"""Pools that discard broken connections before a caller gets one, and that close within a bound.

SQLAlchemy's pool with three changes. A connection is checked when it is taken, without a message to the server. One
that the server closed while it was idle, or that is older than the last loss of any connection, is replaced and closed
in the background. Closing the pool ends every connection at the same time, within a bound.
Neighbours: `postgres.connect` and `mysql.connect` make them, `backends` uses them.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, NamedTuple
from weakref import WeakSet

from sqlalchemy import event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.util import await_only
from sqlalchemy.util.concurrency import in_greenlet

from stockade.core.grace import GRACE_S

END_WAIT_S = 0.5  # how long the orderly close of a connection may take before its socket is closed
END_IN_TURN_S = 0.25 * GRACE_S  # for how long of that its last user waits; then it goes on in the background


class Link(NamedTuple):
    """What a driver's connection can do.

    Attributes:
        connect: makes one, from the arguments that SQLAlchemy's dialect gives.
        broken: whether it is known to be unusable, without a message to the server.
        end: closes it in order, with a message to the server.
        kill: closes the socket without a message to the server; idempotent.
    """

    connect: Callable[[Mapping[str, Any]], Awaitable[Any]]
    broken: Callable[[Any], bool]
    end: Callable[[Any], Awaitable[None]]
    kill: Callable[[Any], None]


class Pool:
    """Connections of one kind to one server.

    Args:
        url: for SQLAlchemy's dialect; `link` connects.
        link: the driver.
        size: most connections.
        arguments: further ones for the dialect's `connect`.
        options: of `create_async_engine`.

    Attributes:
        engine: over the pool.
        unsettled: the ends of connections in use that their users did not see: what they had sent may still arrive.
    """

    def __init__(
        self, url: URL, link: Link, size: int, arguments: Mapping[str, Any] | None = None, **options: Any
    ) -> None:
        self._link = link
        self._open: WeakSet[Any] = WeakSet()
        self._stale: WeakSet[Any] = WeakSet()
        self._ending: set[asyncio.Task[None]] = set()
        self.unsettled: set[asyncio.Task[None]] = set()
        self._lost_s = 0.0  # on the monotonic clock; connections made before are not used again
        given = {"async_creator_fn": self._connect, **(arguments or {})}
        self.engine = create_async_engine(url, pool_size=size, max_overflow=0, connect_args=given, **options)
        setattr(self.engine.sync_engine.dialect, "do_terminate", self._terminate)  # noqa: B010 - mypy takes no method
        event.listen(self.engine.sync_engine, "connect", _note_time)
        event.listen(self.engine.sync_engine, "checkout", self._check)

    def lost(self) -> None:
        """A connection broke: the others are probably broken too, so all that exist now are replaced."""
        self._lost_s = time.monotonic()

    async def _connect(self, **given: Any) -> Any:
        driver = await self._link.connect(given)
        self._open.add(driver)
        return driver

    def _check(self, adapted: Any, record: Any, _proxy: Any) -> None:
        driver = adapted.driver_connection
        if record.info["made_s"] <= self._lost_s or self._link.broken(driver):
            self._stale.add(driver)
            raise DisconnectionError  # the pool then connects anew

    def _terminate(self, adapted: Any) -> None:
        """Replaces the dialect's own, which waits for the server four times as long, or without a bound.

        The end of a connection whose statement was cancelled is waited for: the server should have received that before
        its caller goes on. Over a dead link that would take `END_WAIT_S`, so the wait ends before, and the pool is
        `unsettled`. The end of one that was not in use is not waited for.
        """
        driver = adapted.driver_connection
        try:
            task = self._end(driver)
        except RuntimeError:  # called by the garbage collector outside of any loop
            self._link.kill(driver)
            return
        if driver in self._stale:
            return
        self.unsettled.add(task)
        task.add_done_callback(self.unsettled.discard)
        if in_greenlet():
            await_only(asyncio.wait([task], timeout=END_IN_TURN_S))

    def _end(self, driver: Any) -> asyncio.Task[None]:
        """Begin to end a connection.

        Raises:
            RuntimeError: no loop is running.
        """
        loop = asyncio.get_running_loop()
        self._open.discard(driver)
        task = loop.create_task(self._close_in_order(driver))
        self._ending.add(task)
        task.add_done_callback(partial(self._ended, driver))
        return task

    async def _close_in_order(self, driver: Any) -> None:
        async with asyncio.timeout(END_WAIT_S):
            await self._link.end(driver)

    def _ended(self, driver: Any, task: asyncio.Task[None]) -> None:
        """Close the socket if the server did not answer, or if the task was cancelled, also before it began."""
        self._ending.discard(task)
        if task.cancelled() or task.exception() is not None:
            self._link.kill(driver)

    def end_all(self) -> None:
        """Begin to end every connection."""
        for driver in [*self._open]:
            self._end(driver)

    async def close(self) -> None:
        """End every connection; takes `END_WAIT_S` at most."""
        self.end_all()
        await asyncio.gather(*self._ending, return_exceptions=True)
        await self.engine.dispose(close=False)


def _note_time(_adapted: Any, record: Any) -> None:
    record.info["made_s"] = time.monotonic()
