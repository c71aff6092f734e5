"""One asyncio connection for all tasks: commands that come while the server works are sent together.

Why our own: redis-py's asyncio pool takes one socket for each call in flight, and the pipelining clients that exist are
not faster (figures: docs/locks.md, Speed). Multiplexing also gives the order that a withdrawal needs: a cancelled call
was sent before any later one. Neighbour: `connection.py`.
"""

import asyncio
import ssl
import weakref
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import Any

from stockade.drivers.resolve import SocketAddress, places_async
from stockade.locks.errors import LockUnavailable, ProviderClosed
from stockade.locks.redis.transport.address import Address, load_hiredis
from stockade.locks.redis.transport.connection import Connection, Resend
from stockade.locks.redis.transport.replies import greeting_trouble, refused_subscription
from stockade.locks.redis.transport.subscription import TaskSubscription
from stockade.locks.redis.transport.transport import OnMessage, OnReconnect, ServerError
from stockade.locks.runtime.identity import leave_to_parent, process_id

_CLOSE_S = 0.5
_LATE = "lock server: no answer in time"


class MultiplexedTransport:
    """A connection for calls and, once a caller waits for a lock, one for the subscription. Both are renewed."""

    def __init__(self, url: str) -> None:
        self._address = Address.parse(url)
        self._hiredis = load_hiredis()
        self._closed = False
        self._process = process_id()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connection: Connection | None = None
        self._connections: weakref.WeakSet[Connection] = weakref.WeakSet()  # all of this loop, also of subscriptions
        self._connecting: asyncio.Task[Connection] | None = None
        self._resending: set[asyncio.Task[None]] = set()
        self._subscription: TaskSubscription | None = None

    @property
    def where(self) -> str:
        """The server, for messages."""
        return self._address.where

    def change_loop(self) -> None:
        """In another event loop: see `_move_to`."""
        if (loop := asyncio.get_running_loop()) is not self._loop:
            self._move_to(loop)

    def _move_to(self, loop: asyncio.AbstractEventLoop) -> None:
        """Forget the connections of another loop: of one that has ended, or of the parent before a fork.

        A parent's are left untouched: the child shares them, and the loop's selector, with it.
        """
        connection, old, same_process = self._connection, self._loop, self._process == process_id()
        if not same_process and connection is not None:
            leave_to_parent(connection, old, self._subscription, self._connecting)
        elif old is not None and old.is_closed():
            for each in self._connections:
                each.end()
        elif old is not None:
            listening = None if self._subscription is None else self._subscription.task
            for task in (listening, self._connecting, *self._resending):
                if task is not None:
                    old.call_soon_threadsafe(task.cancel)
            if connection is not None:
                old.call_soon_threadsafe(connection.abort, "used in another event loop")
        self._loop, self._process = loop, process_id()
        self._connection = self._connecting = self._subscription = None
        self._resending, self._connections = set(), weakref.WeakSet()

    async def call(self, *parts: bytes | str | int, timeout_s: float) -> Any:
        return await self.call_packed(self._hiredis.pack_command(parts), timeout_s)

    def call_packed(self, data: bytes, timeout_s: float) -> Awaitable[Any]:
        connection, loop = self._connection, asyncio.get_running_loop()
        if loop is not self._loop:  # also in the child of a fork, which cannot go on in its parent's loop
            self._move_to(loop)
            connection = None
        sent = None if connection is None else connection.try_send(data, timeout_s)  # bounds its own time
        return self._connect_and_call(data, timeout_s) if sent is None else sent

    async def _connect_and_call(self, data: bytes, timeout_s: float) -> Any:
        sent = False
        try:
            async with asyncio.timeout(timeout_s):
                connection = await self._connected(timeout_s)
                sent = True
                return await connection.send_packed(data, timeout_s)
        except TimeoutError as error:
            raise (LockUnavailable if sent else LockUnavailable.unsent)(_LATE) from error

    async def _connected(self, timeout_s: float) -> Connection:
        if self._closed:
            raise ProviderClosed()
        if self._connection is not None and self._connection.probe():
            return self._connection
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._connect_for_calls(timeout_s))
            self._connecting.add_done_callback(lambda task: task.cancelled() or task.exception())  # callers may be gone
        connecting = self._connecting
        try:
            return await asyncio.shield(connecting)
        except asyncio.CancelledError:
            me = asyncio.current_task()
            if connecting.cancelled() and not (me and me.cancelling()):  # by `close`; the caller was not
                raise ProviderClosed() from None
            raise

    async def _connect_for_calls(self, timeout_s: float) -> Connection:
        """One attempt for all callers; it goes on when the caller that began it is cancelled."""
        me = asyncio.current_task()
        try:
            connection = await self._connect("stockade-locks", timeout_s, resend=self._resend)
            if self._connecting is me:
                self._connection = connection
            return connection
        finally:
            if self._connecting is me:
                self._connecting = None

    def _resend(self, calls: Sequence[Resend]) -> None:
        """Send calls again whose connection had ended while it was idle, or leads to another server now."""
        task = asyncio.create_task(self._connect_and_resend(calls))
        self._resending.add(task)
        task.add_done_callback(self._resending.discard)

    async def _connect_and_resend(self, calls: Sequence[Resend]) -> None:
        left_s = max(call.due for call in calls) - monotonic()
        try:
            async with asyncio.timeout(left_s):
                connection = await self._connected(left_s)
        except (LockUnavailable, ServerError, TimeoutError) as error:
            for call in calls:
                call.fail(error if isinstance(error, ServerError) else LockUnavailable(str(error) or _LATE))
            return
        except BaseException:
            for call in calls:
                call.fail(ProviderClosed())
            raise
        for call in calls:
            connection.send_again(call)

    async def _connect(
        self,
        name: str,
        timeout_s: float,
        *,
        on_push: Callable[[list[Any]], None] | None = None,
        resend: Callable[[Sequence[Resend]], None] | None = None,
    ) -> Connection:
        """A greeted connection.

        Raises:
            LockUnavailable: it could not be had in time.
            ServerError: the login, or the server's certificate, was refused.
        """
        where = self._address.where
        try:
            async with asyncio.timeout(timeout_s):
                connection = await self._open(timeout_s, lambda: self._new_connection(on_push, resend))
                try:
                    await self._greet(connection, name, timeout_s)
                except BaseException as error:
                    connection.abort(f"not connected: {error!r}")
                    raise
        except (LockUnavailable, ServerError) as error:
            if isinstance(error, LockUnavailable):
                error.sent = False  # nothing but the greeting
            raise
        except TimeoutError as error:
            raise LockUnavailable.unsent(f"lock server {where}: no answer in time") from error
        except ssl.SSLCertVerificationError as error:  # a repeat would not change it
            raise ServerError(f"{where}: its certificate is refused: {error.verify_message}") from error
        except OSError as error:
            raise LockUnavailable.unsent(f"lock server {where}: {error}") from error
        return connection

    async def _open(self, timeout_s: float, factory: Callable[[], Connection]) -> Connection:
        """A connection; of several addresses of a name each gets its share of the time."""
        address, loop = self._address, asyncio.get_running_loop()
        if address.path:
            return (await loop.create_unix_connection(factory, address.path))[1]
        found, end = await places_async(address.host, address.port), monotonic() + timeout_s
        for number, place in enumerate(found):
            try:
                async with asyncio.timeout(max(end - monotonic(), 0.001) / (len(found) - number)):
                    return await self._open_at(place, factory)
            except ssl.SSLCertVerificationError:
                raise
            except OSError:  # TimeoutError is one; the next address of the same name may answer
                if number + 1 == len(found):
                    raise
        raise OSError("the name has no address")

    def _new_connection(self, on_push: Any, resend: Any) -> Connection:
        self._connections.add(made := Connection(self._hiredis, on_push, resend))
        return made

    async def _open_at(self, place: SocketAddress, factory: Callable[[], Connection]) -> Connection:
        address, loop = self._address, asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            factory,
            place.sockaddr[0],
            address.port,
            ssl=address.tls,
            server_hostname=address.host if address.tls else None,
        )
        return connection

    async def _greet(self, connection: Connection, name: str, timeout_s: float) -> None:
        commands = self._address.greeting(name)
        calls = [connection.send(command, timeout_s) for command in commands]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        for command, answer in zip(commands, answers, strict=True):
            if isinstance(answer, ServerError):
                trouble = greeting_trouble(self._address, command, str(answer))
                if trouble is not None:
                    raise trouble
            elif isinstance(answer, BaseException):
                raise answer
        connection.answered_before = False  # the greeting does not count: no call could be sent again

    async def listen(self, channel: str, on_message: OnMessage, on_reconnect: OnReconnect, timeout_s: float) -> None:
        self.change_loop()
        if self._closed:
            raise ProviderClosed()
        if self._subscription is None or self._subscription.task.done():
            self._subscription = TaskSubscription(lambda: self._subscribe(channel, on_message, timeout_s), on_reconnect)
        await self._subscription.opened(timeout_s)

    async def _subscribe(self, channel: str, on_message: OnMessage, timeout_s: float) -> Connection:
        end = monotonic() + timeout_s
        connection = await self._connect("stockade-notices", timeout_s, on_push=lambda push: on_message(push[2]))
        try:
            async with asyncio.timeout(max(end - monotonic(), 0.001)):
                await connection.send(("SUBSCRIBE", channel), timeout_s)
        except BaseException as error:
            connection.abort("not subscribed")
            if isinstance(error, ServerError):
                raise refused_subscription(str(error)) from error
            if isinstance(error, TimeoutError):
                raise LockUnavailable.unsent(_LATE) from error
            raise
        return connection

    async def distrust(self) -> None:
        if self._connection is not None and self._loop is asyncio.get_running_loop():
            self._connection.abort("its replies make no sense")

    async def close(self) -> None:
        self._closed = True
        self.change_loop()
        if self._connecting is not None:
            self._connecting.cancel()
        if self._subscription is not None:
            await self._subscription.close()
        ending = [task for task in (self._connecting, *self._resending) if task is not None]
        if ending:  # the resending tasks end with the connecting one, and fail their calls
            await asyncio.wait(ending, timeout=_CLOSE_S)
        if self._connection is not None:
            self._connection.abort("closed")
        await asyncio.sleep(0)  # the loop closes aborted sockets in its next tick
