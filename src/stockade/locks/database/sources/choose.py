"""Finds the source for what the caller gave to `PostgresLocks` or `MySQLLocks`, and refuses what cannot work.

SQLAlchemy and the drivers are not imported for it: what the caller has made, the caller has imported.
"""

import inspect
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from stockade.locks.database.sources.asyncio_pools import (
    AsyncConnectSource,
    AsyncEngineSource,
    AsyncmyPoolSource,
    AsyncpgPoolSource,
)
from stockade.locks.database.sources.blocking_pools import (
    DRIVERS,
    BlockingSource,
    engine_pool,
    function_pool,
    getconn_pool,
)
from stockade.locks.database.sources.source import Source


class DatabaseKind(NamedTuple):
    """What differs between the kinds of database.

    Attributes:
        kind: `PostgreSQL` or `MySQL`.
        provider: the name of its class, for messages.
        from_url: makes the source for a URL.
        dialects: names that SQLAlchemy has for it.
        async_driver: its driver for asyncio.
        drivers: SQLAlchemy's names of its blocking drivers.
    """

    kind: str
    provider: str
    from_url: Callable[[str, float], Source]
    dialects: tuple[str, ...]
    async_driver: str
    drivers: tuple[str, ...]


def source_for(where: Any, database: DatabaseKind, patience_s: float, *, for_asyncio: bool) -> Source:
    """The source behind `where`.

    Args:
        where: a URL, an engine, a pool, or a function that makes connections.
        database: the kind.
        patience_s: see `SessionOptions`.
        for_asyncio: whether the provider is the one of `stockade.locks.aio`.

    Raises:
        TypeError: it is none of them, or one for the other face.
        ValueError: it leads to another database, through a driver that is not supported, or to one connection only.
    """
    if isinstance(where, str):
        return database.from_url(where, patience_s)
    found = _for_asyncio(where, database) if for_asyncio else _for_threads(where, database)
    if found is None:
        raise TypeError(_wrong(where, database, for_asyncio))
    return found


def _for_asyncio(where: Any, database: DatabaseKind) -> Source | None:
    if _is(where, "sqlalchemy.ext.asyncio", "AsyncEngine"):
        _check_engine(where.sync_engine, database, (database.async_driver,))
        return AsyncEngineSource(where, _size(where.sync_engine.pool), _place(where))
    if database.async_driver == "asyncpg" and _is(where, "asyncpg", "Pool"):
        return AsyncpgPoolSource(where, where.get_max_size(), "the given pool")
    if database.async_driver == "asyncmy" and _is(where, "asyncmy", "Pool"):
        return AsyncmyPoolSource(where, where.maxsize, "the given pool")
    if _is_function(where):
        return AsyncConnectSource(where, None, "the given function")
    return None


def _for_threads(where: Any, database: DatabaseKind) -> Source | None:
    if _is(where, "sqlalchemy", "Engine"):
        _check_engine(where, database, database.drivers)
        return BlockingSource(engine_pool(where, _size(where.pool), _place(where)), database.kind)
    if _is(where, "asyncpg", "Pool") or _is(where, "psycopg_pool", "AsyncConnectionPool"):
        return None
    if hasattr(where, "getconn") and hasattr(where, "putconn"):
        return BlockingSource(getconn_pool(where), database.kind)
    if _is_function(where) and not inspect.iscoroutinefunction(where):
        return BlockingSource(function_pool(where), database.kind)
    return None


def _is(value: Any, module: str, name: str) -> bool:
    """Whether it is an instance of a class that the caller has imported."""
    found = getattr(sys.modules.get(module), name, None)
    return isinstance(found, type) and isinstance(value, found)


def _is_function(value: Any) -> bool:
    return callable(value) and not hasattr(value, "fetchval")


def _check_engine(engine: Any, database: DatabaseKind, drivers: tuple[str, ...]) -> None:
    if engine.dialect.name not in database.dialects:
        raise ValueError(f"{database.provider} over an engine of {engine.dialect.name}: it needs {database.kind}")
    if engine.dialect.driver not in drivers:
        raise ValueError(
            f"{database.provider} over an engine with the driver {engine.dialect.driver}: it needs {_either(drivers)}, "
            f"such as {database.dialects[0]}+{drivers[0]}://"
        )
    pool = type(engine.pool).__name__
    if pool in ("StaticPool", "AssertionPool", "SingletonThreadPool"):
        raise ValueError(f"{database.provider} over an engine with a {pool}: waiters need more than one connection")


def _size(pool: Any) -> int | None:
    """Of SQLAlchemy's pool; None: it makes as many as are wanted."""
    most = getattr(pool, "_max_overflow", -1)
    return int(pool.size()) + int(most) if most >= 0 and hasattr(pool, "size") else None


def _place(engine: Any) -> str:
    return str(engine.url.render_as_string(hide_password=True)).partition("://")[2].rpartition("@")[2]


def _either(words: tuple[str, ...]) -> str:
    return " or ".join(words)


def _wrong(where: Any, database: DatabaseKind, for_asyncio: bool) -> str:
    """What to give instead."""
    name, given = database.provider, type(where)
    if for_asyncio:
        wanted = f"an AsyncEngine, a Pool of {database.async_driver}, or an async function that makes connections"
        other = _is(where, "sqlalchemy", "Engine") or hasattr(where, "getconn")
    else:
        wanted = f"an Engine, or a pool or function that makes connections of {DRIVERS[database.kind]}"
        other = _is(where, "sqlalchemy.ext.asyncio", "AsyncEngine") or hasattr(where, "acquire")
        other = other or inspect.iscoroutinefunction(where)
    text = f"{name} needs a URL, {wanted}; got {given.__module__}.{given.__qualname__}"
    if other:
        return f"{text}, which is for stockade.locks{'' if for_asyncio else '.aio'}.{name}"
    if hasattr(where, "cursor") or hasattr(where, "fetchval"):
        return f"{text}: one connection cannot hold a lock and let others wait"
    return text
