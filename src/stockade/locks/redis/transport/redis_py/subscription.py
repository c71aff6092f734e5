"""A subscribed connection of a redis-py client, for threads and for asyncio. Neighbour: `transport/subscription.py`."""

import asyncio
from typing import Any

from stockade.locks.errors import LockUnavailable
from stockade.locks.redis.transport.redis_py.client_copy import connections_of, disconnect, disconnect_pools
from stockade.locks.redis.transport.redis_py.deadline import CallDeadline
from stockade.locks.redis.transport.redis_py.errors import client_error, load_redis
from stockade.locks.redis.transport.replies import refused_subscription
from stockade.locks.redis.transport.transport import OnMessage, ServerError

_LOOK_S = 0.2  # how often a reading thread looks whether it was interrupted
_LATE = "lock server: no answer in time"


class BlockingPubSub:
    """For threads.

    Args:
        client: a copy of the caller's, used for nothing else.
        on_message: called with each message.
    """

    def __init__(self, client: Any, on_message: OnMessage) -> None:
        self._client = client
        self._pubsub = client.pubsub()
        self._on_message = on_message
        self._errors = load_redis().exceptions
        self._interrupted = False

    async def subscribe(self, channel: str, timeout_s: float) -> "BlockingPubSub":
        """Subscribe within `timeout_s` seconds; errors as for `subscription.Subscribe`."""
        try:
            with CallDeadline.after(timeout_s):
                self._pubsub.subscribe(channel)
                if self._pubsub.get_message(timeout=timeout_s) is None:
                    raise LockUnavailable.unsent(_LATE)
        except BaseException as error:
            await self.close()
            if not isinstance(error, self._errors.RedisError | OSError) or isinstance(error, LockUnavailable):
                raise
            raise _subscribe_error(error, self._client) from error
        return self

    async def read(self) -> None:
        try:
            while not self._interrupted:
                message = self._pubsub.get_message(ignore_subscribe_messages=True, timeout=_LOOK_S)
                if message is not None:
                    self._on_message(message["data"])
        except (self._errors.RedisError, OSError, ValueError):  # ValueError: the socket was closed meanwhile
            return

    def interrupt(self) -> None:
        self._interrupted = True

    async def close(self) -> None:
        self._pubsub.close()
        disconnect_pools(self._client)


class AsyncioPubSub:
    """The same for asyncio."""

    def __init__(self, client: Any, on_message: OnMessage) -> None:
        self._client = client
        self._pubsub = client.pubsub()
        self._on_message = on_message
        self._errors = load_redis().exceptions

    async def subscribe(self, channel: str, timeout_s: float) -> "AsyncioPubSub":
        """As `BlockingPubSub.subscribe`."""
        try:
            with CallDeadline.after(timeout_s):
                async with asyncio.timeout(timeout_s):
                    await self._pubsub.subscribe(channel)
                    if await self._pubsub.get_message(timeout=timeout_s) is None:
                        raise TimeoutError
        except BaseException as error:
            await self.close()
            if isinstance(error, TimeoutError):
                raise LockUnavailable.unsent(_LATE) from error
            if not isinstance(error, self._errors.RedisError | OSError):
                raise
            raise _subscribe_error(error, self._client) from error
        return self

    async def read(self) -> None:
        try:
            while True:
                message = await self._pubsub.get_message(ignore_subscribe_messages=True, timeout=None)
                if message is not None:
                    self._on_message(message["data"])
        except (self._errors.RedisError, OSError):
            return

    async def close(self) -> None:
        await disconnect(connections_of(self._client))
        await self._pubsub.aclose()


def _subscribe_error(error: Exception, client: Any) -> Exception:
    meaning = client_error(error, client, None)
    return refused_subscription(str(meaning)) if isinstance(meaning, ServerError) else meaning
