"""Locks that a database session holds: one connection per held lock, and the end of the connection ends the lock.

There is no lease to run out on the server, so a paused holder keeps its lock, and a dead one loses it when the server
notices. The holder's own deadline moves with every sign of life of its connection. Neighbours: `postgres.py` and
`mysql.py` (the statements).
"""

import asyncio
import hashlib
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeVar

from stockade.core import NotSupported
from stockade.locks.ask import Ask, Granted, Kind, LockInfo
from stockade.locks.errors import LockUnavailable
from stockade.locks.port import Port

T = TypeVar("T")
_IDLE = 4  # connections kept for the next lock
_CONNECT_S = 5.0


class Dialect(Protocol):
    """The statements of one kind of database. All errors of the driver come as LockUnavailable."""

    async def connect(self, ended: Callable[[Any], None]) -> Any:
        """A connection; `ended(connection)` is called when it breaks."""
        ...

    async def lock(self, connection: Any, ask: Ask, wait_s: float | None) -> int | None:
        """Take the lock and a token; None: not within `wait_s` seconds (0: one try; None: no limit)."""
        ...

    async def unlock(self, connection: Any, ask: Ask) -> bool:
        """Give it back; False: it was not held."""
        ...

    async def ping(self, connection: Any, timeout_s: float) -> bool:
        """Whether the session is still there."""
        ...

    async def drop(self, connection: Any) -> None:
        """End the session at once, also while it waits."""
        ...

    async def inspect(self, connection: Any, name: str) -> LockInfo:
        """Who holds and who waits."""
        ...

    async def break_(self, connection: Any, name: str) -> bool:
        """End the session that holds it."""
        ...


class Runner(Protocol):
    """How a driver's coroutine is run: awaited, or sent to a loop in a thread."""

    async def run(self, work: Coroutine[Any, Any, T]) -> T: ...
    async def close(self) -> None: ...


class AwaitingRunner:
    """For asyncio: simply await."""

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        return await cancellation_kept(work)

    async def close(self) -> None:
        return None


class LoopThreadRunner:
    """For threads: the drivers are asyncio's, so a loop runs in a thread of its own and callers block."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="stockade-lock-sessions", daemon=True)
        self._thread.start()

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        if self._loop.is_closed():
            work.close()
            raise LockUnavailable("the provider is closed")
        future = asyncio.run_coroutine_threadsafe(cancellation_kept(work), self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    async def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


def hashed(prefix: str, name: str) -> bytes:
    """The name as sixteen bytes; databases allow short names or numbers only."""
    return hashlib.blake2b((prefix + name).encode(), digest_size=16).digest()


async def cancellation_kept(work: Coroutine[Any, Any, T]) -> T:
    """Await `work`, and raise a cancellation that it lost.

    A driver can lose one: its clean-up raises another error instead, or `asyncio.wait_for` of Python 3.11 drops it when
    the result arrives at the same moment (python/cpython#86296). The wait for a lock would then go on unwanted.
    """
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    try:
        answer = await work
    except Exception as error:
        if task.cancelling() > before:
            raise asyncio.CancelledError from error
        raise
    if task.cancelling() > before:
        raise asyncio.CancelledError
    return answer


class SessionBackend:
    """Mutexes held by database sessions; in what order waiters are served is the database's business."""

    needs_lease = False
    patience_s = 3.0

    def __init__(self, port: Port, dialect: Dialect, runner: Runner) -> None:
        self._port = port
        self._dialect = dialect
        self._runner = runner
        self._held: dict[str, Any] = {}
        self._idle: list[Any] = []
        self._open: set[Any] = set()  # made and not dropped, also what an interrupt kept from its user
        self._closed = False
        self.on_lost: Callable[[str, str], None] = lambda owner, reason: None

    async def acquire(self, ask: Ask, deadline: float) -> Granted | None:
        if ask.spec.kind != "lock":
            raise NotSupported(
                "database sessions hold mutexes only; use RedisLocks for read/write locks and semaphores"
            )
        connection = None
        try:
            connection = await self._connection()
            wait_s = None if deadline == float("inf") else max(deadline - self._port.now(), 0.0)
            token = await self._runner.run(self._dialect.lock(connection, ask, wait_s))
            if token is not None:
                self._held[ask.owner] = connection
                return Granted(token, self._port.now() + ask.spec.lease_s)
        except BaseException:  # whatever the session holds or waits for ends with it
            self._held.pop(ask.owner, None)
            if connection is not None:
                self._port.finish(self._runner.run(self._drop(connection)))
            raise
        await self._put_back(connection)
        return None

    async def _connection(self) -> Any:
        if self._closed:
            raise LockUnavailable("the provider is closed")
        while self._idle:
            connection = self._idle.pop()
            try:
                if await self._runner.run(self._dialect.ping(connection, _CONNECT_S)):
                    return connection
            except BaseException:
                self._port.finish(self._runner.run(self._drop(connection)))
                raise
            await self._runner.run(self._drop(connection))
        return await self._runner.run(self._connect())

    async def _connect(self) -> Any:
        connection = await self._dialect.connect(self._ended)
        self._open.add(connection)
        return connection

    async def _drop(self, connection: Any) -> None:
        self._open.discard(connection)
        await self._dialect.drop(connection)

    async def _put_back(self, connection: Any) -> None:
        if len(self._idle) < _IDLE and not self._closed:
            self._idle.append(connection)
        else:
            await self._runner.run(self._drop(connection))

    def _ended(self, connection: Any) -> None:
        self._open.discard(connection)
        for owner, held in list(self._held.items()):
            if held is connection:
                del self._held[owner]
                self.on_lost(owner, "its database session ended")

    async def release(self, ask: Ask) -> bool:
        connection = self._held.get(ask.owner)
        if connection is None:
            return False
        try:
            owned = await self._runner.run(self._dialect.unlock(connection, ask))
        except LockUnavailable:  # a broken session holds nothing
            owned = False
        self._held.pop(ask.owner, None)
        if owned:
            await self._put_back(connection)
        else:
            await self._runner.run(self._drop(connection))
        return owned

    async def extend(self, asks: Sequence[Ask], timeout_s: float) -> list[bool]:
        return [await self._ping(ask, timeout_s) for ask in asks]

    async def _ping(self, ask: Ask, timeout_s: float) -> bool:
        connection = self._held.get(ask.owner)
        return connection is not None and await self._runner.run(self._dialect.ping(connection, timeout_s))

    async def inspect(self, name: str, kind: Kind) -> LockInfo:
        connection = await self._connection()
        try:
            return await self._runner.run(self._dialect.inspect(connection, name))
        finally:
            await self._put_back(connection)

    async def break_(self, name: str, kind: Kind) -> bool:
        connection = await self._connection()
        try:
            return await self._runner.run(self._dialect.break_(connection, name))
        finally:
            await self._put_back(connection)

    async def raise_fence(self, name: str, at_least: int) -> None:
        raise NotSupported("the tokens of a database live in it and cannot be forgotten, so there is nothing to raise")

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for connection in [*self._open]:
            await self._runner.run(self._drop(connection))
        self._idle.clear()
        self._held.clear()
        await self._runner.close()
