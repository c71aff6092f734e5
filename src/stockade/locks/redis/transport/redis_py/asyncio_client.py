"""The transport for asyncio over a redis-py client that the caller brings: one pooled connection per call.

redis-py closes a connection whose call is cancelled, while the server may still run the command. So calls are
shielded, and a later call with the same first key waits for the abandoned ones: a withdrawal must not overtake its
acquire. Neighbour: `blocking_client.py`, the same for threads.
"""

import asyncio
import time
from typing import Any

from stockade.locks.errors import LockUnavailable, ProviderClosed
from stockade.locks.redis.transport.redis_py.client_copy import connections_of, disconnect, own_copy, where_of
from stockade.locks.redis.transport.redis_py.deadline import CallDeadline
from stockade.locks.redis.transport.redis_py.errors import (
    BAD_REPLY,
    UNEXPECTED_GREETING,
    client_error,
    is_idle_end,
    load_redis,
)
from stockade.locks.redis.transport.redis_py.sentinel import MasterWatch
from stockade.locks.redis.transport.redis_py.subscription import AsyncioPubSub
from stockade.locks.redis.transport.replies import is_stale
from stockade.locks.redis.transport.sockets import IDLE_S
from stockade.locks.redis.transport.subscription import TaskSubscription
from stockade.locks.redis.transport.transport import OnMessage, OnReconnect, ServerError
from stockade.locks.runtime.identity import leave_to_parent, process_id

_LATE = "lock server: no answer in time"


class AsyncClientTransport:
    """Calls through a `redis.asyncio.Redis`. Arguments and errors as for `ClientTransport`."""

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
        self._subscriber: Any = None  # the client of the subscription
        self._subscription: TaskSubscription | None = None

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
        old, client, subscriber, subscription = self._loop, self._client, self._subscriber, self._subscription
        same_process, self._process = self._process == process_id(), process_id()
        self._loop, self._subscriber, self._subscription = loop, None, None
        self._abandoned, self._used_at = {}, 0.0
        if old is None or not self._copied:
            return
        self._client = own_copy(self._theirs, asyncio=True)
        self._watch = MasterWatch(self._client.connection_pool)
        if not same_process:
            leave_to_parent(old, client, subscription)
        elif not old.is_closed():
            old.call_soon_threadsafe(_leave_loop, client, subscription)
        else:
            for each in [*connections_of(client), *(connections_of(subscriber) if subscriber is not None else ())]:
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
                raise LockUnavailable.unsent(_LATE)  # no call may overtake what came before it
        task = loop.create_task(self._execute_in_time(parts, end))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.done():
                self._abandoned.setdefault(key, set()).add(task)
                abandoned = self._abandoned
                task.add_done_callback(lambda done: _forget(abandoned, key, done))
            raise

    async def _execute_in_time(self, parts: tuple[bytes | str | int, ...], end: float) -> Any:
        with CallDeadline(end) as deadline:
            try:
                async with asyncio.timeout(deadline.left_s()):
                    return await self._execute_or_repeat(parts, deadline)
            except LockUnavailable:
                await self._drop_idle()
                raise
            except TimeoutError as error:
                await self._drop_idle()
                raise (LockUnavailable if deadline.sent else LockUnavailable.unsent)(_LATE) from error

    async def _execute_or_repeat(self, parts: tuple[bytes | str | int, ...], deadline: CallDeadline) -> Any:
        """As `ClientTransport._execute_or_repeat`."""
        was_idle = self._copied and 0 < self._used_at < time.monotonic() - IDLE_S
        if self._watch.claim(deadline.left_s()):
            await self._watch.query_async()
        try:
            answer = await self._execute(parts, deadline)
        except LockUnavailable as error:
            if not (was_idle and is_idle_end(error)):
                raise
        except ServerError as error:
            if not (self._copied and is_stale(str(error))):
                raise
        else:
            self._used_at = time.monotonic()
            return answer
        await self._drop_idle()
        return await self._execute(parts, deadline)

    async def _drop_idle(self) -> None:
        """As `ClientTransport._drop_idle`."""
        if self._copied:
            await disconnect(connections_of(self._client, idle_only=True))

    async def _execute(self, parts: tuple[bytes | str | int, ...], deadline: CallDeadline) -> Any:
        try:
            return await self._client.execute_command(*parts)
        except TimeoutError:  # of the whole call; redis-py's is another class
            raise
        except (self._redis.exceptions.RedisError, OSError) as error:
            raise client_error(error, self._client, deadline if self._copied else None) from error
        except BAD_REPLY as error:
            raise LockUnavailable(UNEXPECTED_GREETING) from error

    async def listen(self, channel: str, on_message: OnMessage, on_reconnect: OnReconnect, timeout_s: float) -> None:
        self.change_loop()
        if self._closed:
            raise ProviderClosed()
        if self._subscription is None or self._subscription.task.done():
            client = self._subscriber = own_copy(self._theirs, asyncio=True)  # a small pool of theirs stays for calls
            self._subscription = TaskSubscription(
                lambda: AsyncioPubSub(client, on_message).subscribe(channel, timeout_s), on_reconnect
            )
        await self._subscription.opened(timeout_s)

    async def distrust(self) -> None:
        await self._drop_idle()

    async def close(self) -> None:
        self._closed = True
        self.change_loop()
        if self._subscription is not None:
            await self._subscription.close()
        if self._copied:
            await disconnect(connections_of(self._client))
            await asyncio.sleep(0)  # the loop closes them in its next tick


def _forget(abandoned: dict[Any, set["asyncio.Task[Any]"]], key: Any, task: "asyncio.Task[Any]") -> None:
    abandoned[key].discard(task)
    if not abandoned[key]:
        del abandoned[key]
    if not task.cancelled():
        task.exception()  # no caller reads it; its withdrawal follows


def _leave_loop(client: Any, subscription: TaskSubscription | None) -> None:
    """In the loop that is left."""
    if subscription is not None:
        subscription.task.cancel()
    _leaving.add(task := asyncio.ensure_future(disconnect(connections_of(client))))
    task.add_done_callback(_leaving.discard)


_leaving: set["asyncio.Task[None]"] = set()
