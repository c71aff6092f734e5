"""`RedisLocks`, for threads and for asyncio: locks on one Redis (or Valkey) server, or on a cluster of them.

Neighbours: `backend.py` (one server), `cluster.py`, `quorum.py` (independent servers), `transport/`.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from stockade.locks import async_api, sync_api
from stockade.locks.checks import count, flag
from stockade.locks.engine.lock_request import LockOptions
from stockade.locks.engine.release_retry import Together
from stockade.locks.redis.backend import RedisBackend
from stockade.locks.redis.cluster import ClusterBackend
from stockade.locks.redis.quorum import QuorumBackend
from stockade.locks.redis.scan import LocksInUse
from stockade.locks.redis.transport.cluster import ClusterTransport
from stockade.locks.redis.transport.multiplexed import MultiplexedTransport
from stockade.locks.redis.transport.redis_py.asyncio_client import AsyncClientTransport
from stockade.locks.redis.transport.redis_py.blocking_client import ClientTransport
from stockade.locks.redis.transport.threaded import ThreadedTransport
from stockade.locks.redis.transport.transport import Transport
from stockade.locks.redis.tuning import RedisTuning
from stockade.locks.runtime.async_runtime import AsyncRuntime
from stockade.locks.runtime.runtime import Runtime
from stockade.locks.runtime.sync_runtime import SyncRuntime, run

_USUAL = RedisTuning()
_QUORUM = RedisTuning(call_s=0.25, spin_s=0.02)


class _Parts(NamedTuple):
    """What differs between threads and asyncio.

    Attributes:
        by_url: makes the transport for a URL.
        by_client: makes the transport for a client of redis-py.
        together: runs several calls, at once or in turn; returns errors as answers.
    """

    by_url: Callable[[str], Transport]
    by_client: Callable[[Any], Transport]
    together: Together


class RedisLocks(sync_api.Provider):
    """Locks on one Redis server, for threads.

    Args:
        where: a URL (one connection for all threads) or a `redis.Redis` client, also one of `Sentinel.master_for` (a
            copy of it without retries is used). With `cluster`: the URL of a node, or a list of them.
        tuning: times and prefix.
        fair: default of the `fair` option: first come, first served; False spins.
        lease_s: default lease in seconds.
        cluster: whether it is a Redis Cluster: then every lock lives on the master that serves the slot of its name.
        prefix: instead of the one of `tuning`, `stockade:`. "" keeps the names of version 0.1 and before.

    Raises:
        MissingExtra: hiredis or redis is not installed.
        NotSupported: `where` is redis-py's cluster client.
    """

    def __init__(
        self,
        where: Any,
        tuning: RedisTuning = _USUAL,
        *,
        fair: bool = True,
        lease_s: float = 30.0,
        cluster: bool = False,
        prefix: str | None = None,
    ) -> None:
        tuning = _tuned(tuning, prefix, fair)
        runtime = SyncRuntime()
        self._redis = _backend(runtime, where, tuning, cluster, _Parts(ThreadedTransport, ClientTransport, _in_turn))
        super().__init__(runtime, self._redis, sync_api.Lease, LockOptions(fair=fair, lease_s=lease_s))

    def scan(self, max_keys: int = 1_000_000) -> LocksInUse:
        """Kind and name of every lock of this prefix that is in use; ends after `max_keys` keys of the server."""
        count("max_keys", max_keys, 1)
        return run(self.manager.calls.run(self._redis.scan(max_keys)))


class AioRedisLocks(async_api.Provider):
    """Locks on one Redis server, for asyncio; exported as `stockade.locks.aio.RedisLocks`.

    Arguments and errors are those of `RedisLocks`; a client is one of `redis.asyncio`.
    """

    def __init__(
        self,
        where: Any,
        tuning: RedisTuning = _USUAL,
        *,
        fair: bool = True,
        lease_s: float = 30.0,
        cluster: bool = False,
        prefix: str | None = None,
    ) -> None:
        tuning = _tuned(tuning, prefix, fair)
        runtime = AsyncRuntime()
        self._redis = _backend(
            runtime, where, tuning, cluster, _Parts(MultiplexedTransport, AsyncClientTransport, _at_once)
        )
        super().__init__(runtime, self._redis, async_api.Lease, LockOptions(fair=fair, lease_s=lease_s))

    async def scan(self, max_keys: int = 1_000_000) -> LocksInUse:
        """Kind and name of every lock of this prefix that is in use; ends after `max_keys` keys of the server."""
        count("max_keys", max_keys, 1)
        return await self.manager.calls.run(self._redis.scan(max_keys))


class QuorumLocks(sync_api.Provider):
    """Redlock for threads: locks on the majority of independent Redis servers, called one after another.

    Args:
        urls: an odd number of servers, three or more.
        tuning: times and prefix; `call_s` bounds what one dead server costs.
        lease_s: default lease in seconds.
        prefix: see `RedisLocks`.
    """

    def __init__(
        self,
        urls: Sequence[str],
        tuning: RedisTuning = _QUORUM,
        *,
        lease_s: float = 30.0,
        prefix: str | None = None,
    ) -> None:
        tuning = _tuned(tuning, prefix)
        runtime = SyncRuntime()
        servers, background = ([ThreadedTransport(url) for url in _servers(urls)] for _ in range(2))
        backend = QuorumBackend(runtime, servers, tuning, _in_turn, background=background)
        super().__init__(runtime, backend, sync_api.Lease, LockOptions(fair=False, lease_s=lease_s))


class AioQuorumLocks(async_api.Provider):
    """Redlock for asyncio, all servers called at once; exported as `stockade.locks.aio.QuorumLocks`.

    Arguments are those of `QuorumLocks`.
    """

    def __init__(
        self,
        urls: Sequence[str],
        tuning: RedisTuning = _QUORUM,
        *,
        lease_s: float = 30.0,
        prefix: str | None = None,
    ) -> None:
        tuning = _tuned(tuning, prefix)
        runtime = AsyncRuntime()
        backend = QuorumBackend(runtime, [MultiplexedTransport(url) for url in _servers(urls)], tuning, _at_once)
        super().__init__(runtime, backend, async_api.Lease, LockOptions(fair=False, lease_s=lease_s))


def _tuned(tuning: RedisTuning, prefix: str | None, fair: bool = False) -> RedisTuning:
    flag("fair", fair)
    if not isinstance(tuning, RedisTuning):
        raise TypeError(f"tuning is a RedisTuning, such as RedisTuning(poll_s=2); got {type(tuning).__name__}")
    return tuning if prefix is None else replace(tuning, prefix=prefix)


def _backend(
    runtime: Runtime,
    where: Any,
    tuning: RedisTuning,
    cluster: bool,
    parts: _Parts,
) -> RedisBackend:
    flag("cluster", cluster)
    if cluster:
        return ClusterBackend(runtime, ClusterTransport(_urls(where), parts.by_url), tuning, parts.together)
    if isinstance(where, list | tuple):
        raise TypeError("several URLs are for RedisLocks(urls, cluster=True), or for QuorumLocks(urls)")
    transport = parts.by_url(where) if isinstance(where, str) else parts.by_client(where)
    return RedisBackend(runtime, transport, tuning)


def _servers(urls: Sequence[str]) -> Sequence[str]:
    """The servers of a quorum that the caller named."""
    if not isinstance(urls, list | tuple) or not all(isinstance(url, str) for url in urls):
        kind = "a list of others" if isinstance(urls, list | tuple) else type(urls).__name__
        raise TypeError(f"a quorum needs a list of URLs, three or more; got {kind}")
    if len({*urls}) < len(urls):
        raise ValueError("a quorum needs independent servers, and a URL is named twice")
    return urls


def _urls(where: Any) -> Sequence[str]:
    """The nodes of a cluster that the caller named."""
    if isinstance(where, str):
        return (where,)
    if isinstance(where, list | tuple) and all(isinstance(url, str) for url in where):
        return where
    raise TypeError(f"with cluster=True give the URL of a node, or a list of them; got {type(where).__name__}")


async def _in_turn(works: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
    """Run them one after another; returns errors as answers."""
    answers: list[Any] = []
    try:
        for work in works:
            try:
                answers.append(await work)
            except Exception as error:  # noqa: BLE001 - the backend raises it or counts it
                answers.append(error)
    finally:
        for work in works:  # after Ctrl-C some were not begun
            work.close()
    return answers


async def _at_once(works: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
    """Run them together; returns errors as answers."""
    return list(await asyncio.gather(*works, return_exceptions=True))
