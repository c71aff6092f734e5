"""Connections of asyncpg and asyncmy, borrowed from a pool of the caller's in the same event loop.

What is borrowed is the driver's own connection. The handle that SQLAlchemy or the pool has of it is kept here until it
goes back.
"""

import contextlib
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from stockade.drivers import mysql
from stockade.locks.database.sources.source import refused_loan


class _AsyncPool:
    """A pool, and the handle of each connection that was borrowed from it.

    Args:
        pool: of the caller.
        size: connections that it gives at most.
        place: of the server.
    """

    given = True
    application = ""

    def __init__(self, pool: Any, size: int | None, place: str) -> None:
        self._pool = pool
        self.size = size
        self.place = place
        self._handles: dict[Any, Any] = {}

    async def connect(self, timeout_s: float) -> Any:
        try:
            connection, handle = await self._borrow()
        except Exception as error:
            if (translated := refused_loan(error)) is error:
                raise
            raise translated from error
        self._handles[connection] = handle
        return connection

    async def give_back(self, connection: Any) -> None:
        await self._return(self._handles[connection])
        del self._handles[connection]  # until then `discard` finds it

    def discard(self, connection: Any) -> None:
        _close_now(connection)
        if (handle := self._handles.pop(connection, None)) is not None:
            self._forget(handle)

    async def _borrow(self) -> tuple[Any, Any]:
        """The driver's connection and the pool's handle of it."""
        raise NotImplementedError

    async def _return(self, handle: Any) -> None:
        raise NotImplementedError

    def _forget(self, handle: Any) -> None:
        """Give a closed connection back, so that the pool makes another one."""
        raise NotImplementedError


class AsyncEngineSource(_AsyncPool):
    """SQLAlchemy's AsyncEngine."""

    async def _borrow(self) -> tuple[Any, Any]:
        handle = await self._pool.connect()
        try:
            return (await handle.get_raw_connection()).driver_connection, handle
        except BaseException:
            await handle.close()
            raise

    async def _return(self, handle: Any) -> None:
        await handle.close()

    def _forget(self, handle: Any) -> None:
        handle.sync_connection.invalidate()
        handle.sync_connection.close()


class AsyncpgPoolSource(_AsyncPool):
    """asyncpg's Pool."""

    async def _borrow(self) -> tuple[Any, Any]:
        handle = await self._pool.acquire()
        return handle._con, handle  # noqa: SLF001 - the handle cannot be referenced weakly, and hides the transport

    async def _return(self, handle: Any) -> None:
        await self._pool.release(handle)

    def _forget(self, handle: Any) -> None:
        return  # asyncpg tells the pool when a connection is closed


class AsyncmyPoolSource(_AsyncPool):
    """asyncmy's Pool."""

    async def _borrow(self) -> tuple[Any, Any]:
        connection = await self._pool.acquire()
        return connection, connection

    async def _return(self, handle: Any) -> None:
        await self._pool.release(handle)

    def _forget(self, handle: Any) -> None:
        with contextlib.suppress(RuntimeError):  # its event loop is closed, and the pool with it
            self._pool.release(handle)


class AsyncConnectSource(_AsyncPool):
    """A function of the caller that makes connections; they are closed after use."""

    async def _borrow(self) -> tuple[Any, Any]:
        make: Callable[[], Awaitable[Any]] = self._pool
        made = make()
        if not inspect.isawaitable(made):
            raise TypeError(f"the given function must return an awaitable connection; got {type(made).__name__}")
        connection = await made
        if type(connection).__module__.partition(".")[0] not in ("asyncpg", "asyncmy"):
            raise TypeError(f"the given function must make connections of asyncpg or asyncmy; got {type(connection)}")
        return connection, connection

    async def _return(self, handle: Any) -> None:
        _close_now(handle)

    def _forget(self, handle: Any) -> None:
        return


def _close_now(connection: Any) -> None:
    terminate = getattr(connection, "terminate", None)
    if terminate is not None:
        terminate()
    else:
        mysql.abort(connection)
