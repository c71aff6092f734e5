"""An engine of the caller as the connections of a store: which ones fit, and what is refused with which advice.

Neighbours: `database` calls it; each folder of a database has the dialect for its given engines.
"""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from sqlalchemy import Engine
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import QueuePool

from stockade.core import NotSupported
from stockade.drivers.failures import reaching
from stockade.store.engine.backends import DatabaseBackend
from stockade.store.engine.dialect import Dialect
from stockade.store.engine.given import GivenBackend
from stockade.store.mysql import given as mysql
from stockade.store.postgres import given as postgres
from stockade.store.sqlite import given as sqlite

FIRST_WAIT_S = 10.0  # for the first connection of the engine
MOST_BY_DEFAULT = 8


class GivenKind(NamedTuple):
    """What an engine over one driver becomes.

    Attributes:
        label: of the server, for messages.
        check: refuses engines whose connections cannot be used.
        dialect: from a connection and the longest wait for a lock in seconds; refuses servers and sessions likewise.
        writers: most transactions at the same time; None: as many as the caller says.
        isolation: see `GivenBackend`.
    """

    label: str
    check: Callable[[AsyncEngine], None]
    dialect: Callable[[AsyncConnection, float], Awaitable[Dialect]]
    writers: int | None = None
    isolation: str | None = None


def _no_check(_engine: AsyncEngine) -> None:
    return None


_MYSQL = GivenKind("MariaDB or MySQL", _no_check, mysql.dialect_of)
_KINDS = {
    "asyncpg": GivenKind("PostgreSQL", _no_check, postgres.dialect_of, isolation="READ COMMITTED"),
    "asyncmy": _MYSQL,
    "aiomysql": _MYSQL,
    "aiosqlite": GivenKind("SQLite", sqlite.check_engine, sqlite.dialect_of, writers=1),
}
_INSTEAD = {"postgresql": "postgresql+asyncpg", "mysql": "mysql+asyncmy", "mariadb": "mariadb+asyncmy"}


class Adopted(NamedTuple):
    """Where the database is, its connections, how many commands may use them, and how many transactions."""

    url: URL
    backend: DatabaseBackend
    pool_size: int
    writers: int


async def adopt(engine: object, pool_size: int | None, wait_s: float) -> Adopted:
    """Make an engine the connections of a store.

    Args:
        engine: of the caller.
        pool_size: most connections for transactions; None: as many as the pool keeps, but at most `MOST_BY_DEFAULT`.
        wait_s: the longest wait for one row lock, in seconds.

    Raises:
        TypeError: it is no AsyncEngine.
        NotSupported: its driver, its pool, its server or its sessions do not fit; the message says what does.
        ConnectFailed, AccessRefused: there is no connection.
    """
    if not isinstance(engine, AsyncEngine):
        raise TypeError(_no_engine(engine))
    kind = _KINDS.get(engine.dialect.driver)
    if kind is None:
        known, instead = ", ".join(_KINDS), _INSTEAD.get(engine.dialect.name)
        advice = f"make the engine with {instead}://" if instead else "Database.open lists the databases that work"
        raise NotSupported(f"the store does not work over the driver {engine.dialect.driver}, only {known}: {advice}")
    kind.check(engine)
    place = engine.url.render_as_string(hide_password=True)
    async with reaching(kind.label, place, FIRST_WAIT_S), engine.connect() as connection:
        dialect = await kind.dialect(connection, wait_s)
    size = pool_size or _kept(engine)
    backend = GivenBackend(dialect, engine, max(1, min(size, MOST_BY_DEFAULT)), kind.isolation)
    return Adopted(engine.url, backend, size, kind.writers or size)


def _kept(engine: AsyncEngine) -> int:
    """How many connections the pool keeps; 0 there means that it has no bound."""
    pool = engine.pool
    size = pool.size() if isinstance(pool, QueuePool) else 0
    return min(size or MOST_BY_DEFAULT, MOST_BY_DEFAULT)


def _no_engine(given: object) -> str:
    if isinstance(given, str | URL):
        return "from_engine takes an AsyncEngine: for a URL use Database.open(url)"
    if isinstance(given, Engine):
        return "from_engine takes an AsyncEngine (create_async_engine), not an Engine: its calls would block the loop"
    return f"from_engine takes an AsyncEngine (create_async_engine), not {type(given).__name__}"
