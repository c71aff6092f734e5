"""The locks that are compared: ours over each transport, redis-py's, and those of other libraries where installed.

Each is a context manager that yields a function `name -> lock`; a lock has `acquire` and `release`. The other libraries
are pinned in `requirements/contenders.txt`. The benchmark names those that are not installed, and skips them.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import redis
import redis.asyncio

from stockade import locks as sync
from stockade.locks import aio

LEASE_S = 10.0
RETRY_S = 0.1  # pause between two tries: that of redis-py, and of the others where it can be set


@dataclass(frozen=True)
class Contender:
    """A lock of some library.

    Attributes:
        name: as the tables show it.
        make: the context manager.
        needs: the distribution that it comes from, if that may be missing.
        most: the largest number of workers in its uncontended runs.
        hot: whether it takes part in the contended runs.
    """

    name: str
    make: Callable[[str], Any]
    needs: str = ""
    most: int = 50
    hot: bool = True

    @property
    def version(self) -> str | None:
        """The version of `needs`; None: not installed."""
        try:
            return metadata.version(self.needs) if self.needs else ""
        except metadata.PackageNotFoundError:
            return None


@contextlib.asynccontextmanager
async def ours(url: str) -> AsyncIterator[Callable[[str], Any]]:
    """Our asyncio API on its own connection."""
    async with aio.RedisLocks(url, lease_s=LEASE_S) as locks:
        yield locks.lock


@contextlib.asynccontextmanager
async def ours_client(url: str) -> AsyncIterator[Callable[[str], Any]]:
    """Our asyncio API over redis-py."""
    async with aio.RedisLocks(redis.asyncio.Redis.from_url(url), lease_s=LEASE_S) as locks:
        yield locks.lock


@contextlib.asynccontextmanager
async def redis_py(url: str) -> AsyncIterator[Callable[[str], Any]]:
    """redis-py's asyncio lock."""
    async with redis.asyncio.Redis.from_url(url, max_connections=1000) as client:
        yield lambda name: client.lock(name, timeout=LEASE_S)


@contextlib.asynccontextmanager
async def pottery_aio(url: str) -> AsyncIterator[Callable[[str], Any]]:
    """pottery's asyncio Redlock on one server."""
    from pottery import AIORedlock

    async with redis.asyncio.Redis.from_url(url, max_connections=1000) as client:
        yield lambda name: AIORedlock(key=name, masters={client}, auto_release_time=LEASE_S)


@contextlib.asynccontextmanager
async def coredis_aio(url: str) -> AsyncIterator[Callable[[str], Any]]:
    """coredis' lock."""
    import coredis
    from coredis.patterns.lock import Lock

    async with coredis.Redis.from_url(url) as client:
        yield lambda name: Lock(client, name, timeout=LEASE_S, sleep=RETRY_S)


@contextlib.contextmanager
def ours_sync(url: str) -> Iterator[Callable[[str], Any]]:
    """Our API for threads on its own connection."""
    with sync.RedisLocks(url, lease_s=LEASE_S) as locks:
        yield locks.lock


@contextlib.contextmanager
def ours_client_sync(url: str) -> Iterator[Callable[[str], Any]]:
    """Our API for threads over redis-py."""
    with sync.RedisLocks(redis.Redis.from_url(url), lease_s=LEASE_S) as locks:
        yield locks.lock


@contextlib.contextmanager
def redis_py_sync(url: str) -> Iterator[Callable[[str], Any]]:
    """redis-py's lock."""
    with redis.Redis.from_url(url) as client:
        yield lambda name: client.lock(name, timeout=LEASE_S)


class RawPair:
    """The smallest lock: SET NX, and a script that compares and deletes. No waiting, no fencing token."""

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
    """The lower bound for one redis-py client."""
    with redis.Redis.from_url(url) as client:
        yield lambda name: RawPair(client, name)


@contextlib.contextmanager
def python_redis_lock(url: str) -> Iterator[Callable[[str], Any]]:
    """python-redis-lock, which waits by BLPOP."""
    import redis_lock

    with redis.Redis.from_url(url, socket_timeout=None) as client:
        yield lambda name: redis_lock.Lock(client, name, expire=int(LEASE_S))


@contextlib.contextmanager
def pottery_sync(url: str) -> Iterator[Callable[[str], Any]]:
    """pottery's Redlock on one server."""
    from pottery import Redlock

    with redis.Redis.from_url(url) as client:
        yield lambda name: Redlock(key=name, masters={client}, auto_release_time=LEASE_S)


@contextlib.contextmanager
def sherlock(url: str) -> Iterator[Callable[[str], Any]]:
    """sherlock's Redis lock."""
    import sherlock

    with redis.Redis.from_url(url) as client:
        yield lambda name: sherlock.RedisLock(
            name, client=client, expire=int(LEASE_S), timeout=60, retry_interval=RETRY_S
        )


BASELINE = "redis-py Lock"
TASKS = (
    Contender("stockade", ours, most=500),
    Contender("stockade over redis-py", ours_client),
    Contender(BASELINE, redis_py, most=500),
    Contender("pottery", pottery_aio, "pottery"),
    Contender("coredis", coredis_aio, "coredis"),
)
THREADS = (
    Contender("stockade", ours_sync),
    Contender("stockade over redis-py", ours_client_sync),
    Contender(BASELINE, redis_py_sync),
    Contender("python-redis-lock", python_redis_lock, "python-redis-lock"),
    Contender("pottery", pottery_sync, "pottery"),
    Contender("sherlock", sherlock, "sherlock"),
    Contender("raw Lua pair, redis-py", raw_pair, hot=False),
)
