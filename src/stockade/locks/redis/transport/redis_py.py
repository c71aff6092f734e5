"""A redis-py client that the caller brings (Sentinel, odd TLS, tests), in both faces.

Cancelling a redis-py call closes its connection while the command may still run. So calls are shielded, and a later
call with the same first key waits for abandoned ones: a withdrawal must not overtake its acquire. After a failure the
idle connections of the pool are closed: the next call connects again, and queries the Sentinel.
"""

import asyncio
import contextlib
import os
import threading
import time
import weakref
from typing import Any

from stockade.locks.errors import LockUnavailable, ProviderClosed
from stockade.locks.redis.transport.redis_py_copy import (
    BAD_REPLY,
    Turn,
    connections_of,
    load_redis,
    own_copy,
    pools_of,
    turn,
    where_of,
)
from stockade.locks.redis.transport.redis_py_errors import client_error, is_idle_end
from stockade.locks.redis.transport.redis_py_subscription import ClientEars
from stockade.locks.redis.transport.replies import is_stale, refused_subscription
from stockade.locks.redis.transport.sentinel import MasterWatch
from stockade.locks.redis.transport.sockets import IDLE_S
from stockade.locks.redis.transport.transport import Gap, Heard
from stockade.locks.runtime.identity import process_id
from stockade.locks.runtime.runtime import ServerError

_PAUSE_S, _LONGEST_PAUSE_S, _CLOSE_S = 0.02, 1.0, 0.5
_LATE, _NO_SENSE = "lock server: no answer in time", "lock server: an unexpected reply to a greeting"


class ClientTransport:
    """Calls through `redis.Redis`: one pooled connection per call.

    Args:
        client: the caller's.
        own: whether calls go over a copy of it, which is bounded; otherwise over itself, as it is.

    Raises:
        NotSupported, TypeError: see `own_copy`.
    """

    call_packed = None

    def __init__(self, client: Any, *, own: bool = True) -> None:
        self._redis = load_redis()
        self._theirs, self._copied = client, own
        self._closed = False
        self._begin()
        _transports.add(self)

    @property
    def where(self) -> str:
        """The server, for messages."""
        return where_of(self._theirs)

    def _begin(self) -> None:
        """With connections of this process; what a parent holds is not touched."""
        self._client = own_copy(self._theirs, asyncio=False) if self._copied else self._theirs
        self._watch = MasterWatch(self._client.connection_pool if self._copied else None)
        self._listening = threading.Lock()
        self._inside: set[int] = set()
        self._used_at = 0.0
        self._ears: ClientEars | None = None

    def reset_in_child(self) -> None:
        """In the child of a fork: the parent's pool, and whatever lock of it was held, stays behind."""
        _parents.append((self._client, self._ears))
        self._begin()

    async def call(self, *parts: bytes | str | int, timeout_s: float) -> Any:
        if self._closed:
            raise ProviderClosed()
        if not self._copied:
            return self._execute(self._client, parts, Turn(0.0))
        me = threading.get_ident()
        began = time.monotonic()
        with Turn(began + timeout_s) as mine:
            if me in self._inside:  # a signal handler, whose thread may hold a lock of the pool
                aside = own_copy(self._theirs, asyncio=False)
                try:
                    return self._execute(aside, parts, mine)
                finally:
                    self._disconnect(aside)
            try:
                self._inside.add(me)
                return self._twice(parts, mine, began)
            finally:
                self._inside.discard(me)

    def _twice(self, parts: tuple[bytes | str | int, ...], mine: Turn, began: float) -> Any:
        """Once more where only a fresh connection can give an answer, and nothing was done on the old one."""
        idle = 0 < self._used_at < began - IDLE_S
        if self._watch.asks and self._watch.is_due(mine.left_s()):
            self._watch.look()
        try:
            answer = self._execute(self._client, parts, mine)
        except LockUnavailable as error:
            self._drop()
            if not (idle and is_idle_end(error)):
                raise
        except ServerError as error:
            if not is_stale(str(error)):
                raise
            self._drop()
        else:
            self._used_at = time.monotonic()
            return answer
        return self._execute(self._client, parts, mine)

    def _drop(self) -> None:
        """No call is to meet another connection of the same kind."""
        self._disconnect(self._client, in_use=False)

    def _disconnect(self, client: Any, *, in_use: bool = True) -> None:
        for pool in pools_of(client):
            with contextlib.suppress(self._redis.exceptions.RedisError, OSError):  # they are given up in any case
                pool.disconnect(inuse_connections=in_use)

    def _execute(self, client: Any, parts: tuple[bytes | str | int, ...], mine: Turn) -> Any:
        try:
            return client.execute_command(*parts)
        except (self._redis.exceptions.RedisError, OSError) as error:
            raise client_error(error, client, mine if self._copied else None) from error
        except BAD_REPLY as error:  # also when `close` has taken the socket meanwhile
            raise (ProviderClosed() if self._closed else LockUnavailable(_NO_SENSE)) from error

    async def listen(self, channel: str, heard: Heard, gap: Gap, timeout_s: float) -> None:
        end = time.monotonic() + timeout_s
        if not self._listening.acquire(timeout=max(timeout_s, 0.0)):
            raise LockUnavailable.unsent("lock server: another thread has been subscribing for too long")
        try:
            if self._closed:
                raise ProviderClosed()
            if self._ears is None:
                client = own_copy(self._theirs, asyncio=False)  # a small pool of theirs stays free for calls
                self._ears = ClientEars(client, (channel, heard, gap), max(end - time.monotonic(), 0.0))
        finally:
            self._listening.release()

    async def distrust(self) -> None:
        if self._copied:
            self._drop()

    async def close(self) -> None:
        self._closed = True
        ears, self._ears = self._ears, None
        if ears is not None:
            ears.close()
        if self._copied:
            self._disconnect(self._client)


class AsyncClientTransport:
    """Calls through `redis.asyncio`. Arguments and errors as for `ClientTransport`."""

    call_packed = None

    def __init__(self, client: Any, *, own: bool = True) -> None:
        self._redis = load_redis()
        self._theirs = client
        self._copied = own
        self._client = own_copy(client, asyncio=True) if own else client
        self._watch = MasterWatch(self._client.connection_pool if own else None)
        self._closed = False
        self._process = process_id()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._used_at = 0.0
        self._abandoned: dict[Any, set[asyncio.Task[Any]]] = {}
        self._ears: Any = None  # the client that listens
        self._listener: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[None]

    @property
    def where(self) -> str:
        """The server, for messages."""
        return where_of(self._theirs)

    def change_loop(self) -> None:
        """In another event loop: see `_move_to`."""
        if (loop := asyncio.get_running_loop()) is not self._loop:
            self._move_to(loop)

    def _move_to(self, loop: asyncio.AbstractEventLoop) -> None:
        """Forget the connections of another loop: of one that has ended, or of the parent before a fork."""
        old, client, ears, listener = self._loop, self._client, self._ears, self._listener
        self._loop, self._ears, self._listener, self._abandoned, self._used_at = loop, None, None, {}, 0.0
        if old is None or not self._copied:
            self._process = process_id()
            return
        self._client = own_copy(self._theirs, asyncio=True)
        self._watch = MasterWatch(self._client.connection_pool)
        if self._process != process_id():  # untouched: the child shares them, and the loop's selector, with the parent
            self._process = process_id()
            _parents.append((old, client, listener))
        elif not old.is_closed():
            old.call_soon_threadsafe(_leave_loop, client, listener)
        else:
            for each in [*connections_of(client), *(connections_of(ears) if ears is not None else ())]:
                each.end()

    async def call(self, *parts: bytes | str | int, timeout_s: float) -> Any:
        if (loop := asyncio.get_running_loop()) is not self._loop:
            self._move_to(loop)
        if self._closed:
            raise ProviderClosed()
        key, end = parts[3] if len(parts) > 3 else parts[0], time.monotonic() + timeout_s
        if key in self._abandoned:
            await asyncio.wait(self._abandoned[key], timeout=timeout_s)
            if key in self._abandoned and time.monotonic() >= end:
                raise LockUnavailable.unsent(_LATE)  # whatever it is, it may not overtake what came before
        task = loop.create_task(self._twice(parts, end))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.done():
                self._abandoned.setdefault(key, set()).add(task)
                abandoned = self._abandoned
                task.add_done_callback(lambda done: _forget(abandoned, key, done))
            raise

    async def _twice(self, parts: tuple[bytes | str | int, ...], end: float) -> Any:
        """As `ClientTransport._twice`."""
        began = time.monotonic()
        idle = self._copied and 0 < self._used_at < began - IDLE_S
        with Turn(end) as mine:
            try:
                async with asyncio.timeout(end - began):
                    if self._watch.asks and self._watch.is_due(end - began):
                        await self._watch.look_async()
                    try:
                        answer = await self._execute(parts, mine)
                    except LockUnavailable as error:
                        if not (idle and is_idle_end(error)):
                            raise
                    except ServerError as error:
                        if not (self._copied and is_stale(str(error))):
                            raise
                    else:
                        self._used_at = time.monotonic()
                        return answer
                    await self._drop()
                    return await self._execute(parts, mine)
            except (TimeoutError, LockUnavailable) as error:
                await self._drop()
                if isinstance(error, LockUnavailable):
                    raise
                raise (LockUnavailable if mine.sent else LockUnavailable.unsent)(_LATE) from error

    async def _drop(self) -> None:
        """As `ClientTransport._drop`; without waiting for anybody."""
        if self._copied:
            await _disconnect(connections_of(self._client, idle_only=True))

    async def _execute(self, parts: tuple[bytes | str | int, ...], mine: Turn) -> Any:
        try:
            return await self._client.execute_command(*parts)
        except TimeoutError:  # of the whole call; redis-py's is another class
            raise
        except (self._redis.exceptions.RedisError, OSError) as error:
            raise client_error(error, self._client, mine if self._copied else None) from error
        except BAD_REPLY as error:
            raise LockUnavailable(_NO_SENSE) from error

    async def listen(self, channel: str, heard: Heard, gap: Gap, timeout_s: float) -> None:
        if (loop := asyncio.get_running_loop()) is not self._loop:
            self._move_to(loop)
        if self._closed:
            raise ProviderClosed()
        if self._listener is None or self._listener.done():
            self._ready = loop.create_future()
            work = self._keep_listening((channel, heard, gap), timeout_s)
            self._listener = asyncio.create_task(work, name="stockade-lock-notices")
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.shield(self._ready)
        except TimeoutError as error:
            raise LockUnavailable.unsent(_LATE) from error

    async def _subscribed(self, client: Any, channel: str, timeout_s: float) -> Any:
        pubsub = client.pubsub()
        try:
            with turn(timeout_s):
                async with asyncio.timeout(timeout_s):
                    await pubsub.subscribe(channel)
                    if await pubsub.get_message(timeout=timeout_s) is None:
                        raise TimeoutError
        except BaseException as error:
            await _end(pubsub)
            if isinstance(error, TimeoutError):
                raise LockUnavailable.unsent(_LATE) from error
            if not isinstance(error, self._redis.exceptions.RedisError | OSError):
                raise
            trouble = client_error(error, client, None)
            raise (refused_subscription(str(trouble)) if isinstance(trouble, ServerError) else trouble) from error
        return pubsub

    async def _keep_listening(self, what: tuple[str, Heard, Gap], timeout_s: float) -> None:
        """Until closed: listen to the connection's end, subscribe again, tell of the gap."""
        client = self._ears = own_copy(self._theirs, asyncio=True)  # a small pool of theirs stays free for calls
        try:
            await self._listen_with(client, what, timeout_s)
        finally:
            await _disconnect(connections_of(client))

    async def _listen_with(self, client: Any, what: tuple[str, Heard, Gap], timeout_s: float) -> None:
        channel, heard, gap = what
        pause_s, ready = _PAUSE_S, self._ready
        while True:
            try:
                pubsub = await self._subscribed(client, channel, timeout_s)
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
            await self._read_until_cut(pubsub, heard)

    async def _read_until_cut(self, pubsub: Any, heard: Heard) -> None:
        try:
            while True:
                message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=None)
                if message is not None:
                    heard(message["data"])
        except (self._redis.exceptions.RedisError, OSError):  # the caller subscribes again
            return
        finally:
            await _end(pubsub)

    async def distrust(self) -> None:
        await self._drop()

    async def close(self) -> None:
        self._closed = True
        if (loop := asyncio.get_running_loop()) is not self._loop:
            self._move_to(loop)
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.wait([self._listener], timeout=_CLOSE_S)
            if not self._ready.done():
                self._ready.cancel()
        if self._copied:
            await _disconnect(connections_of(self._client))
            await asyncio.sleep(0)  # the loop closes them in its next tick


async def _disconnect(connections: list[Any]) -> None:
    for connection in connections:
        with contextlib.suppress(OSError):  # it is given up in any case
            await connection.disconnect(nowait=True)


async def _end(pubsub: Any) -> None:
    """Give up its connection without waiting for the other side's word."""
    if pubsub.connection is not None:
        await _disconnect([pubsub.connection])
    await pubsub.aclose()


def _forget(abandoned: dict[Any, set["asyncio.Task[Any]"]], key: Any, task: "asyncio.Task[Any]") -> None:
    abandoned[key].discard(task)
    if not abandoned[key]:
        del abandoned[key]
    if not task.cancelled():
        task.exception()  # nobody waits for it any more; its withdrawal follows


def _leave_loop(client: Any, listener: "asyncio.Task[None] | None") -> None:
    """In the loop that is left."""
    if listener is not None:
        listener.cancel()
    _leaving.add(task := asyncio.ensure_future(_disconnect(connections_of(client))))
    task.add_done_callback(_leaving.discard)


def _forget_the_parent() -> None:
    for transport in list(_transports):
        transport.reset_in_child()


_leaving: set["asyncio.Task[None]"] = set()
_parents: list[Any] = []  # in the child of a fork: never freed, since freeing would reach into the parent's selector
_transports: "weakref.WeakSet[ClientTransport]" = weakref.WeakSet()
os.register_at_fork(after_in_child=_forget_the_parent)
