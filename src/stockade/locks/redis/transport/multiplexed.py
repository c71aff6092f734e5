"""One asyncio connection for all tasks: what is asked while the server works leaves together, replies come in order.

Why our own: redis-py's asyncio pool spends some 150 µs of client time per lock and takes one socket per call in
flight; the pipelining clients found (asyncio-redis, unmaintained since 2020; coredis, measured at half of redis-py's
speed on one task) are no faster. Multiplexing lifts 50 tasks from 6 k to over 50 k pairs/s, and gives the order that a
withdrawal needs: a cancelled call has been sent before whatever is sent next. Neighbour: `pipe.py` (one connection).
"""

import asyncio
import ssl
import weakref
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import Any

from stockade.drivers.resolve import Place, places_async
from stockade.locks.errors import LockUnavailable, ProviderClosed
from stockade.locks.redis.transport.address import Address, load_hiredis
from stockade.locks.redis.transport.connection import Again, Pipe
from stockade.locks.redis.transport.replies import greeting_trouble, refused_subscription
from stockade.locks.redis.transport.transport import Gap, Heard
from stockade.locks.runtime.identity import process_id
from stockade.locks.runtime.runtime import ServerError

_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 1.0
_CLOSE_S = 0.5
_LATE = "lock server: no answer in time"


class MultiplexedTransport:
    """A command connection and, once somebody waits, a listening one; both come back by themselves."""

    def __init__(self, url: str) -> None:
        self._address = Address.parse(url)
        self._hiredis = load_hiredis()
        self._closed = False
        self._process = process_id()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pipe: Pipe | None = None
        self._pipes: weakref.WeakSet[Pipe] = weakref.WeakSet()  # all of this loop, also those that listen
        self._connecting: asyncio.Task[Pipe] | None = None
        self._repeating: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[None]

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
        pipe, old, same_process = self._pipe, self._loop, self._process == process_id()
        if not same_process and pipe is not None:
            _parents.append((pipe, old, self._listener, self._connecting))
        elif old is not None and old.is_closed():
            for each in self._pipes:
                each.end()
        elif old is not None:
            for task in (self._listener, self._connecting, *self._repeating):
                if task is not None:
                    old.call_soon_threadsafe(task.cancel)
            if pipe is not None:
                old.call_soon_threadsafe(pipe.abort, "used in another event loop")
        self._loop, self._process = loop, process_id()
        self._pipe = self._connecting = self._listener = None
        self._repeating, self._pipes = set(), weakref.WeakSet()

    async def call(self, *parts: bytes | str | int, timeout_s: float) -> Any:
        return await self.call_packed(self._hiredis.pack_command(parts), timeout_s)

    def call_packed(self, data: bytes, timeout_s: float) -> Awaitable[Any]:
        pipe, loop = self._pipe, asyncio.get_running_loop()
        if loop is not self._loop:  # also in the child of a fork, which cannot go on in its parent's loop
            self._move_to(loop)
            pipe = None
        sent = None if pipe is None else pipe.offer(data, timeout_s)  # the connection itself watches the time
        return self._call_with_care(data, timeout_s) if sent is None else sent

    async def _call_with_care(self, data: bytes, timeout_s: float) -> Any:
        """Over a connection that has to be opened first."""
        sent = False
        try:
            async with asyncio.timeout(timeout_s):
                pipe = await self._connected(timeout_s)
                sent = True
                return await pipe.send_packed(data, timeout_s)
        except TimeoutError as error:
            raise (LockUnavailable if sent else LockUnavailable.unsent)(_LATE) from error

    async def _connected(self, timeout_s: float) -> Pipe:
        if self._closed:
            raise ProviderClosed()
        if self._pipe is not None and self._pipe.usable():
            return self._pipe
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

    async def _connect_for_calls(self, timeout_s: float) -> Pipe:
        """One attempt for everybody who needs it; it goes on when the caller that began it is cancelled."""
        me = asyncio.current_task()
        try:
            pipe = await self._connect("stockade-locks", timeout_s, again=self._send_again)
            if self._connecting is me:
                self._pipe = pipe
            return pipe
        finally:
            if self._connecting is me:
                self._connecting = None

    def _send_again(self, calls: Sequence[Again]) -> None:
        """Calls that a connection could not carry out since it had ended while it was idle, or leads elsewhere now."""
        task = asyncio.create_task(self._repeat(calls))
        self._repeating.add(task)
        task.add_done_callback(self._repeating.discard)

    async def _repeat(self, calls: Sequence[Again]) -> None:
        left_s = max(call.due for call in calls) - monotonic()
        try:
            async with asyncio.timeout(left_s):
                pipe = await self._connected(left_s)
        except (LockUnavailable, ServerError, TimeoutError) as error:
            for call in calls:
                call.fail(error if isinstance(error, ServerError) else LockUnavailable(str(error) or _LATE))
            return
        except BaseException:
            for call in calls:
                call.fail(ProviderClosed())
            raise
        for call in calls:
            pipe.send_again(call)

    async def _connect(
        self,
        name: str,
        timeout_s: float,
        *,
        push: Callable[[list[Any]], None] | None = None,
        again: Callable[[Sequence[Again]], None] | None = None,
    ) -> Pipe:
        """A greeted connection.

        Raises:
            LockUnavailable: it could not be had in time.
            ServerError: the login, or the server's certificate, was refused.
        """
        where = self._address.where
        try:
            async with asyncio.timeout(timeout_s):
                pipe = await self._opened(timeout_s, push, again)
                try:
                    await self._greet(pipe, name, timeout_s)
                except BaseException as error:
                    pipe.abort(f"not connected: {error!r}")
                    raise
        except (LockUnavailable, ServerError) as error:
            if isinstance(error, LockUnavailable):
                error.sent = False  # nothing but the greeting
            raise
        except TimeoutError as error:
            raise LockUnavailable.unsent(f"lock server {where}: no answer in time") from error
        except ssl.SSLCertVerificationError as error:  # asking again would not change it
            raise ServerError(f"{where}: its certificate is refused: {error.verify_message}") from error
        except OSError as error:
            raise LockUnavailable.unsent(f"lock server {where}: {error}") from error
        return pipe

    async def _opened(self, timeout_s: float, push: Any, again: Any) -> Pipe:
        """A connection; of several addresses of a name each gets its share of the time."""
        address, loop = self._address, asyncio.get_running_loop()
        if address.path:
            return (await loop.create_unix_connection(lambda: self._new_pipe(push, again), address.path))[1]
        found, end = await places_async(address.host, address.port), monotonic() + timeout_s
        for number, place in enumerate(found):
            try:
                async with asyncio.timeout(max(end - monotonic(), 0.001) / (len(found) - number)):
                    return await self._open_at(place, push, again)
            except ssl.SSLCertVerificationError:
                raise
            except OSError:  # TimeoutError is one; the next address of the same name may answer
                if number + 1 == len(found):
                    raise
        raise OSError("the name has no address")

    def _new_pipe(self, push: Any, again: Any) -> Pipe:
        self._pipes.add(made := Pipe(self._hiredis, push, again))
        return made

    async def _open_at(self, place: Place, push: Any, again: Any) -> Pipe:
        address, loop = self._address, asyncio.get_running_loop()
        _, pipe = await loop.create_connection(
            lambda: self._new_pipe(push, again),
            place.sockaddr[0],
            address.port,
            ssl=address.tls,
            server_hostname=address.host if address.tls else None,
        )
        return pipe

    async def _greet(self, pipe: Pipe, name: str, timeout_s: float) -> None:
        commands = self._address.greeting(name)
        answers = await asyncio.gather(*[pipe.send(command, timeout_s) for command in commands], return_exceptions=True)
        for command, answer in zip(commands, answers, strict=True):
            if isinstance(answer, ServerError):
                trouble = greeting_trouble(self._address, command, str(answer))
                if trouble is not None:
                    raise trouble
            elif isinstance(answer, BaseException):
                raise answer
        pipe.kept = False  # it has answered nobody yet who could send again

    async def listen(self, channel: str, heard: Heard, gap: Gap, timeout_s: float) -> None:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._move_to(loop)
        if self._closed:
            raise ProviderClosed()
        if self._listener is None or self._listener.done():
            self._ready = loop.create_future()
            work = self._keep_listening(channel, heard, gap, timeout_s)
            self._listener = asyncio.create_task(work, name="stockade-lock-notices")
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.shield(self._ready)
        except TimeoutError as error:
            raise LockUnavailable.unsent(_LATE) from error

    async def _subscribed(self, channel: str, heard: Heard, timeout_s: float) -> Pipe:
        end = monotonic() + timeout_s
        pipe = await self._connect("stockade-notices", timeout_s, push=lambda push: heard(push[2]))
        try:
            async with asyncio.timeout(max(end - monotonic(), 0.001)):
                await pipe.send(("SUBSCRIBE", channel), timeout_s)
        except BaseException as error:
            pipe.abort("not subscribed")
            if isinstance(error, ServerError):
                raise refused_subscription(str(error)) from error
            if isinstance(error, TimeoutError):
                raise LockUnavailable.unsent(_LATE) from error
            raise
        return pipe

    async def _keep_listening(self, channel: str, heard: Heard, gap: Gap, timeout_s: float) -> None:
        """Until closed: listen to the connection's end, subscribe again, tell of the gap."""
        pause_s, ready = _PAUSE_S, self._ready
        while not self._closed:
            try:
                pipe = await self._subscribed(channel, heard, timeout_s)
            except (LockUnavailable, ServerError) as error:
                if not ready.done():  # the first time: who waits for it hears, and may try again
                    ready.set_exception(error)
                    ready.exception()  # unless nobody waits any more
                    return
                await asyncio.sleep(pause_s)  # the waiters poll meanwhile, and say so if that fails too
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
                continue
            pause_s = _PAUSE_S
            if ready.done():
                gap()
            else:
                ready.set_result(None)
            try:
                await asyncio.wait([pipe.closed])
            finally:
                pipe.abort("closed")

    async def distrust(self) -> None:
        if self._pipe is not None and self._loop is asyncio.get_running_loop():
            self._pipe.abort("its replies make no sense")

    async def close(self) -> None:
        self._closed = True
        if self._loop is not asyncio.get_running_loop():
            self._move_to(asyncio.get_running_loop())
        ending = [task for task in (self._listener, self._connecting) if task is not None]
        for task in ending:
            task.cancel()
        if ending or self._repeating:  # what is repeated ends with the connecting, and tells its callers
            await asyncio.wait([*ending, *self._repeating], timeout=_CLOSE_S)
        if self._listener is not None and not self._ready.done():
            self._ready.cancel()
        if self._pipe is not None:
            self._pipe.abort("closed")
        await asyncio.sleep(0)  # the loop closes aborted sockets in its next tick


_parents: list[Any] = []  # in the child of a fork: never freed, since freeing would reach into the parent's selector
