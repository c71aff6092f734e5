"""The locks that are compared: ours over each transport, redis-py's, and others where they are installed.

Each is a context that gives a function `name -> lock`; a lock has `acquire` and `release`.
"""

import contextlib
import importlib.util
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import redis
import redis.asyncio

from stockade import locks as sync
from stockade.locks import aio

LEASE_S = 10.0


@contextlib.asynccontextmanager
async def ours(url: str) -> AsyncIterator[Callable[[str], Any]]:
    """Our asyncio face on its own connection."""
    async with aio.RedisLocks(url, lease_s=LEASE_S) as locks:
        yield locks.lock


@contextlib.asynccontextmanager
async def ours_client(url: str) -> AsyncIterator[Callable[[str], Any]]:
    """Our asyncio face over redis-py."""
    async with aio.RedisLocks(redis.asyncio.Redis.from_url(url), lease_s=LEASE_S) as locks:
        yield locks.lock


@contextlib.asynccontextmanager
async def redis_py(url: str) -> AsyncIterator[Callable[[str], Any]]:
    """redis-py's asyncio lock."""
    async with redis.asyncio.Redis.from_url(url, max_connections=1000) as client:
        yield lambda name: client.lock(name, timeout=LEASE_S)


@contextlib.contextmanager
def ours_sync(url: str) -> Iterator[Callable[[str], Any]]:
    """Our sync face on its own connection."""
    with sync.RedisLocks(url, lease_s=LEASE_S) as locks:
        yield locks.lock


@contextlib.contextmanager
def ours_client_sync(url: str) -> Iterator[Callable[[str], Any]]:
    """Our sync face over redis-py."""
    with sync.RedisLocks(redis.Redis.from_url(url), lease_s=LEASE_S) as locks:
        yield locks.lock


@contextlib.contextmanager
def redis_py_sync(url: str) -> Iterator[Callable[[str], Any]]:
    """redis-py's lock."""
    with redis.Redis.from_url(url) as client:
        yield lambda name: client.lock(name, timeout=LEASE_S)


class RawPair:
    """The least that a lock can be: SET NX, and a script that compares and deletes. No waiting, no fence."""

    def __init__(self, client: Any, name: str) -> None:
        self._client, self._name = client, name
        self._free = client.register_script(
            "if redis.call('get',KEYS[1])==ARGV[1] then return redis.call('del',KEYS[1]) end return 0"
        )

    def acquire(self) -> None:
        self._client.set(self._name, "me", nx=True, px=10_000)

    def release(self) -> None:
        self._free(keys=[self._name], args=["me"])


@contextlib.contextmanager
def raw_pair(url: str) -> Iterator[Callable[[str], Any]]:
    """The floor for one redis-py client."""
    with redis.Redis.from_url(url) as client:
        yield lambda name: RawPair(client, name)


@contextlib.contextmanager
def python_redis_lock(url: str) -> Iterator[Callable[[str], Any]]:
    """python-redis-lock, which waits by BLPOP."""
    import redis_lock

    with redis.Redis.from_url(url, socket_timeout=None) as client:
        yield lambda name: redis_lock.Lock(client, name, expire=int(LEASE_S))


TASKS = {"stockade": ours, "stockade over redis-py": ours_client, "redis-py Lock": redis_py}
THREADS = {"stockade": ours_sync, "stockade over redis-py": ours_client_sync, "redis-py Lock": redis_py_sync}
if importlib.util.find_spec("redis_lock"):
    THREADS["python-redis-lock"] = python_redis_lock
UNCONTENDED_THREADS = {**THREADS, "raw Lua pair, redis-py": raw_pair}
