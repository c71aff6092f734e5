"""A redis-py client that the caller brings (Sentinel, cluster, odd TLS, tests), in both faces.

Its own retries are switched off: a lock must know when a command was sent twice, and must not wait behind its back
(redis-py 8 turned an 8 s BLPOP into 59 s). Cancelling a redis-py call closes its connection while the command may
still run, so calls are shielded, and a later call with the same first key waits for those that were abandoned: each has
a connection of its own, and a withdrawal that overtook its acquire would leave a key behind.
"""

import asyncio
import contextlib
import threading
from typing import Any

from stockade.core import NotSupported
from stockade.locks.errors import LockUnavailable, missing
from stockade.locks.identity import process_id
from stockade.locks.port import ServerError
from stockade.locks.wire.transport import Gap, Heard


def load_redis() -> Any:
    """The redis package.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import redis
        import redis.asyncio
        import redis.asyncio.sentinel
        import redis.sentinel
    except ImportError as error:
        raise missing("redis", "redis") from error
    return redis


def without_retries(client: Any) -> Any:
    """A client like `client`, on connections of its own that never retry.

    A client of Sentinel's gets a pool of the same service. Other pools are used as they are.

    Raises:
        NotSupported: it is a cluster's.
    """
    from redis.backoff import NoBackoff

    redis = load_redis()
    if isinstance(client, redis.RedisCluster | redis.asyncio.RedisCluster):
        raise NotSupported("redis-py's cluster client repeats calls by itself: RedisLocks(url of a node, cluster=True)")
    pool: Any = getattr(client, "connection_pool", None)
    is_async = isinstance(client, redis.asyncio.Redis)
    sentinel = isinstance(pool, redis.sentinel.SentinelConnectionPool | redis.asyncio.sentinel.SentinelConnectionPool)
    if not sentinel and type(pool) not in (redis.ConnectionPool, redis.asyncio.ConnectionPool):
        return client
    from redis.asyncio.retry import Retry as AsyncRetry
    from redis.retry import Retry

    retry = (AsyncRetry if is_async else Retry)(NoBackoff(), 0)
    settings = {**pool.connection_kwargs, "retry": retry, "decode_responses": False, "socket_timeout": None}
    if sentinel:
        settings.pop("connection_pool")  # each refers to its own
        settings |= {"service_name": pool.service_name, "sentinel_manager": pool.sentinel_manager}
        settings |= {"is_master": pool.is_master, "check_connection": getattr(pool, "check_connection", False)}
    own = type(pool)(connection_class=pool.connection_class, max_connections=pool.max_connections, **settings)
    return (redis.asyncio.Redis if is_async else redis.Redis)(connection_pool=own)


class AsyncClientTransport:
    """Calls through `redis.asyncio`."""

    def __init__(self, client: Any, *, own: bool = True) -> None:
        self._redis = load_redis()
        self._client = without_retries(client) if own else client
        self._owned = self._client is not client
        self._abandoned: dict[Any, set[asyncio.Task[Any]]] = {}
        self._listener: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[None]

    call_packed = None

    async def call(self, *parts: bytes | str | int, timeout_s: float) -> Any:
        key = parts[3] if len(parts) > 3 else parts[0]
        if key in self._abandoned:
            await asyncio.wait(self._abandoned[key], timeout=timeout_s)
        task = asyncio.ensure_future(self._execute(parts, timeout_s))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.done():
                self._abandoned.setdefault(key, set()).add(task)
                task.add_done_callback(lambda done: self._forget(key, done))
            raise

    def _forget(self, key: Any, task: "asyncio.Task[Any]") -> None:
        self._abandoned[key].discard(task)
        if not self._abandoned[key]:
            del self._abandoned[key]
        if not task.cancelled():
            task.exception()  # nobody waits for it any more; its withdrawal follows

    async def _execute(self, parts: tuple[bytes | str | int, ...], timeout_s: float) -> Any:
        errors = self._redis.exceptions
        try:
            async with asyncio.timeout(timeout_s):
                return await self._client.execute_command(*parts)
        except (errors.ConnectionError, errors.TimeoutError, OSError, TimeoutError) as error:
            raise LockUnavailable(f"lock server: {error or 'no answer in time'}") from error
        except errors.NoScriptError as error:
            raise ServerError(f"NOSCRIPT {error}") from error
        except errors.ResponseError as error:
            raise ServerError(_with_code(error)) from error

    async def listen(self, channel: str, heard: Heard, gap: Gap, timeout_s: float) -> None:
        if self._listener is None or self._listener.done():
            self._ready = asyncio.get_running_loop().create_future()
            work = self._keep_listening(channel, heard, gap, timeout_s)
            self._listener = asyncio.create_task(work, name="stockade-lock-notices")
        await asyncio.shield(self._ready)

    async def _subscribed(self, channel: str, timeout_s: float) -> Any:
        pubsub = self._client.pubsub()
        try:
            async with asyncio.timeout(timeout_s):
                await pubsub.subscribe(channel)
                await pubsub.get_message(timeout=timeout_s)
        except BaseException as error:
            await pubsub.aclose()
            if not isinstance(error, self._redis.exceptions.RedisError | OSError | TimeoutError):
                raise
            raise LockUnavailable(f"lock server: {error!r}") from error
        return pubsub

    async def _keep_listening(self, channel: str, heard: Heard, gap: Gap, timeout_s: float) -> None:
        """Until closed: listen to the connection's end, subscribe again, tell of the gap."""
        pause_s = 0.02
        while True:
            try:
                pubsub = await self._subscribed(channel, timeout_s)
            except LockUnavailable as error:
                if not self._ready.done():  # the first time: who waits for it hears, and may try again
                    self._ready.set_exception(error)
                    return
                await asyncio.sleep(pause_s)  # the waiters poll meanwhile, and say so if that fails too
                pause_s = min(pause_s * 2, 1.0)
                continue
            pause_s = 0.02
            if self._ready.done():
                gap()
            else:
                self._ready.set_result(None)
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
            await pubsub.aclose()

    async def close(self) -> None:
        if self._listener is not None:
            self._listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listener
            if not self._ready.done():
                self._ready.cancel()
        if self._owned:
            await self._client.connection_pool.disconnect()


class ClientTransport:
    """Calls through `redis.Redis`: one pooled connection per call."""

    def __init__(self, client: Any, *, own: bool = True) -> None:
        self._redis = load_redis()
        self._client = without_retries(client) if own else client
        self._owned = self._client is not client
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._process = ""
        self._guard = threading.Lock()

    call_packed = None

    async def call(self, *parts: bytes | str | int, timeout_s: float) -> Any:
        errors = self._redis.exceptions
        try:
            return self._client.execute_command(*parts)
        except (errors.ConnectionError, errors.TimeoutError, OSError) as error:
            raise LockUnavailable(f"lock server: {error}") from error
        except errors.NoScriptError as error:
            raise ServerError(f"NOSCRIPT {error}") from error
        except errors.ResponseError as error:
            raise ServerError(_with_code(error)) from error

    async def listen(self, channel: str, heard: Heard, gap: Gap, timeout_s: float) -> None:
        with self._guard:
            if self._process == process_id():
                return
            pubsub = self._subscribed(channel, timeout_s)
            self._process = process_id()
            self._thread = threading.Thread(
                target=self._run,
                args=(pubsub, channel, heard, gap, timeout_s),
                name="stockade-lock-notices",
                daemon=True,
            )
            self._thread.start()

    def _subscribed(self, channel: str, timeout_s: float) -> Any:
        pubsub = self._client.pubsub()
        try:
            pubsub.subscribe(channel)
            pubsub.get_message(timeout=timeout_s)
        except (self._redis.exceptions.RedisError, OSError) as error:
            pubsub.close()
            raise LockUnavailable(f"lock server: {error}") from error
        return pubsub

    def _run(self, pubsub: Any, channel: str, heard: Heard, gap: Gap, timeout_s: float) -> None:
        pause_s = 0.02
        while not self._ended.is_set():
            try:
                message = pubsub.get_message(ignore_subscribe_messages=True, timeout=0.2)
                if message is not None:
                    heard(message["data"])
                continue
            except (self._redis.exceptions.RedisError, OSError, ValueError):
                pubsub.close()
            while not self._ended.wait(pause_s):
                try:
                    pubsub = self._subscribed(channel, timeout_s)
                except LockUnavailable:  # the waiters poll meanwhile, and say so if that fails too
                    pause_s = min(pause_s * 2, 1.0)
                    continue
                pause_s = 0.02
                gap()
                break
        pubsub.close()

    async def close(self) -> None:
        self._ended.set()
        if self._thread is not None and self._process == process_id():
            self._thread.join(5)
        if self._owned:
            self._client.connection_pool.disconnect()


def _with_code(error: Exception) -> str:
    """redis-py drops the code of the errors that it knows by class; ours go by the code."""
    codes = {"ReadOnlyError": "READONLY", "BusyLoadingError": "LOADING", "OutOfMemoryError": "OOM"}
    code = codes.get(type(error).__name__, "")
    return f"{code} {error}".strip()
