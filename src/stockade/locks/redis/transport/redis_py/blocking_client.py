"""The transport for threads over a redis-py client that the caller brings: one pooled connection per call.

After a failure the idle connections of the pool are closed: the next call connects again, and queries the Sentinels.
"""

import threading
import time
from typing import Any

from stockade.locks.errors import LockUnavailable, ProviderClosed
from stockade.locks.redis.transport.redis_py.client_copy import disconnect_pools, own_copy, where_of
from stockade.locks.redis.transport.redis_py.deadline import CallDeadline
from stockade.locks.redis.transport.redis_py.errors import (
    BAD_REPLY,
    UNEXPECTED_GREETING,
    client_error,
    is_idle_end,
    load_redis,
)
from stockade.locks.redis.transport.redis_py.sentinel import MasterWatch
from stockade.locks.redis.transport.redis_py.subscription import BlockingPubSub
from stockade.locks.redis.transport.replies import is_stale
from stockade.locks.redis.transport.sockets import IDLE_S
from stockade.locks.redis.transport.subscription import ThreadSubscription
from stockade.locks.redis.transport.transport import OnMessage, OnReconnect, ServerError
from stockade.locks.runtime.identity import leave_to_parent, reset_after_fork


class ClientTransport:
    """Calls through a `redis.Redis`.

    Args:
        client: the caller's.
        own: whether calls go over a copy of it, in which every wait is bounded; else over `client` itself, as it is.

    Raises:
        NotSupported, TypeError: see `own_copy`.
    """

    call_packed = None

    def __init__(self, client: Any, *, own: bool = True) -> None:
        self._redis = load_redis()
        self._theirs, self._copied = client, own
        self._closed = False
        self._begin()
        reset_after_fork(self)

    @property
    def where(self) -> str:
        """The server, for messages."""
        return where_of(self._theirs)

    def _begin(self) -> None:
        """Without any connection; in the child of a fork, whose parent goes on using its own."""
        self._client = own_copy(self._theirs, asyncio=False) if self._copied else self._theirs
        self._watch = MasterWatch(self._client.connection_pool if self._copied else None)
        self._subscription = ThreadSubscription()
        self._inside: set[int] = set()  # threads that are in a call
        self._used_at = 0.0

    def reset_in_child(self) -> None:
        """In the child of a fork: leave the parent's pool, whose lock another thread may have held."""
        leave_to_parent(self._client, self._subscription)
        self._begin()

    async def call(self, *parts: bytes | str | int, timeout_s: float) -> Any:
        if self._closed:
            raise ProviderClosed()
        if not self._copied:
            return self._execute(self._client, parts, None)
        me = threading.get_ident()
        with CallDeadline.after(timeout_s) as deadline:
            if me in self._inside:  # a signal handler, whose thread may hold a lock of the pool
                aside = own_copy(self._theirs, asyncio=False)
                try:
                    return self._execute(aside, parts, deadline)
                finally:
                    disconnect_pools(aside)
            try:
                self._inside.add(me)
                return self._execute_or_repeat(parts, deadline)
            finally:
                self._inside.discard(me)

    def _execute_or_repeat(self, parts: tuple[bytes | str | int, ...], deadline: CallDeadline) -> Any:
        """Repeat the call once where the old connection did nothing, and only a fresh one can give an answer."""
        was_idle = 0 < self._used_at < time.monotonic() - IDLE_S
        if self._watch.claim(deadline.left_s()):
            self._watch.query()
        try:
            answer = self._execute(self._client, parts, deadline)
        except LockUnavailable as error:
            self._drop_idle()
            if not (was_idle and is_idle_end(error)):
                raise
        except ServerError as error:
            if not is_stale(str(error)):
                raise
            self._drop_idle()
        else:
            self._used_at = time.monotonic()
            return answer
        return self._execute(self._client, parts, deadline)

    def _drop_idle(self) -> None:
        """No later call may meet another connection of the same kind."""
        disconnect_pools(self._client, in_use=False)

    def _execute(self, client: Any, parts: tuple[bytes | str | int, ...], deadline: CallDeadline | None) -> Any:
        try:
            return client.execute_command(*parts)
        except (self._redis.exceptions.RedisError, OSError) as error:
            raise client_error(error, client, deadline) from error
        except BAD_REPLY as error:  # also when `close` has taken the socket meanwhile
            raise (ProviderClosed() if self._closed else LockUnavailable(UNEXPECTED_GREETING)) from error

    async def listen(self, channel: str, on_message: OnMessage, on_reconnect: OnReconnect, timeout_s: float) -> None:
        async def subscribe(limit_s: float) -> BlockingPubSub:
            client = own_copy(self._theirs, asyncio=False)  # a small pool of theirs stays free for calls
            return await BlockingPubSub(client, on_message).subscribe(channel, limit_s)

        if self._closed:
            raise ProviderClosed()
        self._subscription.open(subscribe, on_reconnect, timeout_s)

    async def distrust(self) -> None:
        if self._copied:
            self._drop_idle()

    async def close(self) -> None:
        self._closed = True
        self._subscription.close()
        if self._copied:
            disconnect_pools(self._client)
