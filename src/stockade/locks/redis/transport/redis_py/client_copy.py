"""A copy of the caller's client on connections of its own, which never retry and end in time.

redis-py's own retries are switched off. A lock must know when a command was sent twice, and must not wait behind its
back: redis-py 8 turned an 8 s BLPOP into 59 s.
"""

import contextlib
import copy
import threading
import weakref
from typing import Any

from stockade.core import NotSupported
from stockade.locks.redis.transport.redis_py.bounded_connection import NO_CALL_S, AsyncioConnection, BlockingConnection
from stockade.locks.redis.transport.redis_py.deadline import current_deadline
from stockade.locks.redis.transport.redis_py.errors import load_redis

_DROPPED = (
    "maint_notifications_config", "maint_notifications_pool_handler", "oss_cluster_maint_notifications_handler",
    "orig_host_address", "orig_socket_timeout", "orig_socket_connect_timeout", "retry_on_error",
)  # fmt: skip


def own_copy(client: Any, *, asyncio: bool) -> Any:
    """A client like `client`, on connections of its own; also those to the Sentinels, if it uses any.

    Args:
        client: of redis-py, with any pool and any kind of connection.
        asyncio: whether it has to be one of `redis.asyncio`.

    Raises:
        NotSupported: it is a cluster's.
        TypeError: it is no client of redis-py, or one of the other kind.
    """
    redis = load_redis()
    if isinstance(client, redis.RedisCluster | redis.asyncio.RedisCluster):
        raise NotSupported("redis-py's cluster client repeats calls by itself: RedisLocks(url of a node, cluster=True)")
    wanted = redis.asyncio.Redis if asyncio else redis.Redis
    pool = getattr(client, "connection_pool", None)
    if not isinstance(client, wanted) or not isinstance(getattr(pool, "connection_class", None), type):
        name = "redis.asyncio.Redis" if asyncio else "redis.Redis"
        said = f"expected a URL or a {name}, got {type(client).__module__}.{type(client).__name__}"
        if isinstance(client, redis.Redis if asyncio else redis.asyncio.Redis):
            said += f", which is for stockade.locks{'' if asyncio else '.aio'}"
        raise TypeError(said)
    return wanted(connection_pool=_pool_like(pool, 1.0, asyncio=asyncio))


def where_of(client: Any) -> str:
    """The server that a client leads to, for messages: no password in it."""
    pool = client.connection_pool
    manager, given = getattr(pool, "sentinel_manager", None), pool.connection_kwargs
    if manager is not None:
        return f"{pool.service_name} of the Sentinels {', '.join(map(where_of, manager.sentinels))}"
    return str(given.get("path") or f"{given.get('host', 'localhost')}:{given.get('port', 6379)}")


def pools_of(client: Any) -> list[Any]:
    """The pools of a copy: its own, and those of the copied Sentinels."""
    pool = client.connection_pool
    manager = getattr(pool, "sentinel_manager", None)
    return [pool, *(each.connection_pool for each in (manager.sentinels if manager else ()))]


def disconnect_pools(client: Any, *, in_use: bool = True) -> None:
    """Close the connections of a copy for threads; `in_use`: also those of calls in flight."""
    for pool in pools_of(client):
        with contextlib.suppress(load_redis().exceptions.RedisError, OSError):  # they are given up in any case
            pool.disconnect(inuse_connections=in_use)


async def disconnect(connections: list[Any]) -> None:
    """Close connections of asyncio without waiting for the other side's answer."""
    for connection in connections:
        with contextlib.suppress(OSError):  # it is given up in any case
            await connection.disconnect(nowait=True)


def connections_of(client: Any, *, idle_only: bool = False) -> list[Any]:
    """The connections of a copy; redis-py has no public way to them."""
    found: list[Any] = []
    for state in map(vars, pools_of(client)):
        found += [*state["_available_connections"], *(() if idle_only else state["_in_use_connections"])]
    return found


def _pool_like(pool: Any, share: float, *, asyncio: bool) -> Any:
    """An empty pool with the settings of `pool`, whose connections use at most `share` of what a call has left."""
    own, kind = copy.copy(pool), pool.connection_class
    own.connection_class = type(
        f"Own{kind.__name__}", (AsyncioConnection if asyncio else BlockingConnection, kind), {"deadline_share": share}
    )
    own.connection_kwargs = _settings_like(pool, asyncio=asyncio)
    vars(own).update(_maint_notifications_pool_handler=None, _oss_cluster_maint_notifications_handler=None, cache=None)
    if hasattr(pool, "sentinel_manager"):
        _copy_sentinels(own, pool, asyncio=asyncio)
    if asyncio:
        _renew_asyncio_pool(own)
    else:
        _renew_blocking_pool(own)
    return own


def _settings_like(pool: Any, *, asyncio: bool) -> dict[str, Any]:
    from redis.asyncio.retry import Retry as AsyncRetry
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    kept = {name: value for name, value in pool.connection_kwargs.items() if name not in _DROPPED}
    kept |= {"retry": (AsyncRetry if asyncio else Retry)(NoBackoff(), 0), "retry_on_timeout": False}
    return kept | {"decode_responses": False, "health_check_interval": 0}


def _renew_blocking_pool(own: Any) -> None:
    vars(own).update(_lock=threading.RLock(), _fork_lock=threading.RLock())
    vars(own).update(_available_connections=[], _in_use_connections=set(), _connections=[])
    if "timeout" in vars(own):  # a pool that waits for a free connection
        kind = type(own)
        own.__class__ = type(f"Own{kind.__name__}", (kind,), {"timeout": property(_wait_limit_s, _set_wait_limit)})
    own.reset()


def _wait_limit_s(pool: Any) -> float:
    """How long a pool lets a thread wait: as its maker set it, but not longer than the call."""
    call, most_s = current_deadline.get(), vars(pool)["timeout"]
    left_s = NO_CALL_S if call is None else call.left_s()
    return left_s if most_s is None else float(min(most_s, left_s))


def _set_wait_limit(pool: Any, seconds: float | None) -> None:
    vars(pool)["timeout"] = seconds


def _renew_asyncio_pool(own: Any) -> None:
    from asyncio import Condition, Lock

    vars(own).update(_lock=Lock(), _available_connections=[], _in_use_connections=set())
    if "_condition" in vars(own):
        vars(own)["_condition"] = Condition()
    own.reset()


def _copy_sentinels(own: Any, pool: Any, *, asyncio: bool) -> None:
    """The same service of the same Sentinels; a silent one leaves time for the others and for the master."""
    manager = copy.copy(pool.sentinel_manager)
    share = 1.0 / (len(manager.sentinels) + 1)
    manager.sentinels = [
        type(each)(connection_pool=_pool_like(each.connection_pool, share, asyncio=asyncio))
        for each in manager.sentinels
    ]
    own.sentinel_manager = manager
    if asyncio:
        own.connection_kwargs["connection_pool"] = weakref.proxy(own)
        return
    own.proxy = type(pool.proxy)(
        connection_pool=own,
        is_master=pool.is_master,
        check_connection=pool.check_connection,
        service_name=pool.service_name,
        sentinel_manager=manager,
    )
    own.connection_kwargs["connection_pool"] = own.proxy
