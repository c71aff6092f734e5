"""The subscription of one process to its channel: read messages, and subscribe again after an interruption.

`ResumedSubscription` is the loop. It runs in a daemon thread (`ThreadSubscription`) or in a task (`TaskSubscription`).
Every transport brings its own `Subscribe` function, which makes one subscribed connection.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeAlias, TypeVar

from stockade.locks.errors import LockUnavailable, ProviderClosed
from stockade.locks.redis.transport.transport import OnReconnect, ServerError
from stockade.locks.runtime.sync_runtime import run

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 1.0  # before a subscription is tried again
_NAME = "stockade-lock-notices"
_CLOSE_S = 0.5  # how long closing waits for the thread or task; one that is connecting ends by itself


class SubscribedConnection(Protocol):
    """A connection on which the server has confirmed a subscription."""

    async def read(self) -> None:
        """Pass each message on until the connection ends."""
        ...

    async def close(self) -> None:
        """Close it; a second time does nothing."""
        ...


class ThreadConnection(SubscribedConnection, Protocol):
    """One that a thread reads."""

    def interrupt(self) -> None:
        """From another thread: let `read` return soon."""
        ...


ConnectionT = TypeVar("ConnectionT", bound=SubscribedConnection)
Subscribe: TypeAlias = Callable[[], Awaitable[ConnectionT]]
"""Makes one subscribed connection.

Raises:
    LockUnavailable: there was no connection, or no answer, in time.
    ServerError: the server refused the login or the subscription.
"""


class ResumedSubscription(Generic[ConnectionT]):
    """One subscription over a sequence of connections.

    Args:
        subscribe: makes the next connection.
        on_reconnect: called after every interruption, in which messages may have been lost.
        pause: waits for so many seconds before the next try, or until the subscription is closed.

    Attributes:
        connection: the present one; None while there is none.
        closed: set by the owner; `read` then returns.
    """

    def __init__(
        self, subscribe: Subscribe[ConnectionT], on_reconnect: OnReconnect, pause: Callable[[float], Awaitable[object]]
    ) -> None:
        self.connection: ConnectionT | None = None
        self.closed = False
        self._subscribe = subscribe
        self._on_reconnect = on_reconnect
        self._pause = pause

    async def open(self) -> None:
        """Subscribe for the first time. Errors as for `Subscribe`."""
        self.connection = await self._subscribe()

    async def read(self) -> None:
        """Pass messages on until the subscription is closed."""
        while (connection := self.connection) is not None:
            try:
                if not self.closed:
                    await connection.read()
            finally:
                self.connection = None
                await connection.close()
            await self._reconnect()

    async def _reconnect(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            await self._pause(pause_s)
            if self.closed:
                return
            try:
                self.connection = await self._subscribe()
            except (LockUnavailable, ServerError):  # the waiters poll meanwhile, and raise it if that fails too
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
                continue
            self._on_reconnect()
            return


class ThreadSubscription:
    """The subscription of a transport for threads, read by a daemon thread from `open` to `close`."""

    def __init__(self) -> None:
        self._opening = threading.RLock()  # a signal handler may come in the middle, and waits for no other thread
        self._closed = threading.Event()
        self._resumed: ResumedSubscription[ThreadConnection] | None = None
        self._thread: threading.Thread | None = None

    def open(
        self, subscribe: Callable[[float], Awaitable[ThreadConnection]], on_reconnect: OnReconnect, timeout_s: float
    ) -> None:
        """Subscribe, unless another thread has done so.

        Args:
            subscribe: makes a subscribed connection within so many seconds.
            on_reconnect: see `ResumedSubscription`.
            timeout_s: how long this may take, in seconds.

        Raises:
            LockUnavailable, ServerError: see `Subscribe`.
            ProviderClosed: it was closed, before or meanwhile.
        """
        end = time.monotonic() + timeout_s
        if not self._opening.acquire(timeout=max(timeout_s, 0.0)):
            raise LockUnavailable.unsent("lock server: another thread has been subscribing for too long")
        try:
            if self._closed.is_set():
                raise ProviderClosed()
            if self._resumed is None:
                left_s = max(end - time.monotonic(), 0.0)
                self._start(ResumedSubscription(lambda: subscribe(left_s), on_reconnect, self._pause))
        finally:
            self._opening.release()

    def _start(self, resumed: ResumedSubscription[ThreadConnection]) -> None:
        run(resumed.open())
        if self._resumed is not None:  # a signal handler in the middle has subscribed: one is enough
            resumed.closed = True
            run(resumed.read())  # closes the connection
            return
        self._resumed = resumed  # before the look at `_closed`: a `close` of this moment finds it, or is found
        if self._closed.is_set():
            resumed.closed = True
        reading = resumed.read()
        self._thread = threading.Thread(target=run, args=(reading,), name=_NAME, daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # the interpreter is ending and starts no thread any more
            self._resumed, resumed.closed = None, True
            run(reading)  # closes the connection
            raise LockUnavailable.unsent(f"no notices: {error}") from error
        if resumed.closed:
            raise ProviderClosed()

    async def _pause(self, seconds: float) -> None:
        self._closed.wait(seconds)

    def _interrupt(self) -> None:
        if self._resumed is not None and (connection := self._resumed.connection) is not None:
            connection.interrupt()

    def reset_in_child(self) -> None:
        """In the child of a fork: close our copy of the parent's connection."""
        self._interrupt()

    def close(self) -> None:
        """End the thread; a second call, also from a signal handler, does nothing."""
        if self._closed.is_set():
            return
        self._closed.set()
        if self._resumed is not None:
            self._resumed.closed = True
        self._interrupt()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_CLOSE_S)


class TaskSubscription:
    """The subscription of a transport for asyncio, read by a task of the running loop.

    Args:
        subscribe: makes a subscribed connection.
        on_reconnect: see `ResumedSubscription`.

    Attributes:
        task: the task; cancelling it closes the connection.
    """

    def __init__(self, subscribe: Subscribe[SubscribedConnection], on_reconnect: OnReconnect) -> None:
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        work = self._run(ResumedSubscription(subscribe, on_reconnect, asyncio.sleep))
        self.task = asyncio.create_task(work, name=_NAME)

    async def _run(self, resumed: ResumedSubscription[SubscribedConnection]) -> None:
        try:
            await resumed.open()
        except (LockUnavailable, ServerError) as error:  # the callers of `opened` raise it, and may try again
            self._fail(error)
            return
        if not self._opened.done():
            self._opened.set_result(None)
        await resumed.read()

    def _fail(self, error: Exception) -> None:
        if not self._opened.done():
            self._opened.set_exception(error)
            self._opened.exception()  # marks it as read, also when no caller waits any more

    async def opened(self, timeout_s: float) -> None:
        """Wait until the server has confirmed the first subscription, `timeout_s` seconds at most.

        Raises:
            LockUnavailable, ServerError: see `Subscribe`.
            ProviderClosed: `close` was called meanwhile.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.shield(self._opened)
        except TimeoutError as error:
            raise LockUnavailable.unsent("lock server: no answer in time") from error

    async def close(self) -> None:
        """End the task."""
        self.task.cancel()
        await asyncio.wait([self.task], timeout=_CLOSE_S)
        self._fail(ProviderClosed())
