"""What `PostgresLocks` and `MySQLLocks` have in common, for threads and for asyncio: their options and constructor."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypedDict

from stockade.locks import async_api, sync_api
from stockade.locks.checks import PREFIX, TOKEN_TTL_S, count, seconds, text, token_lifetime
from stockade.locks.database.backend import CONNECTIONS, PATIENCE_S, SessionBackend
from stockade.locks.database.dialect import LockDialect
from stockade.locks.database.runner import AwaitingRunner, LoopThreadRunner, Runner
from stockade.locks.database.sources.choose import DatabaseKind, source_for
from stockade.locks.database.sources.source import Source, connections_of
from stockade.locks.engine.lock_request import LockOptions
from stockade.locks.runtime.async_runtime import AsyncRuntime
from stockade.locks.runtime.runtime import Runtime
from stockade.locks.runtime.sync_runtime import SyncRuntime

_LEASE_S = 30.0


class SessionOptions(TypedDict, total=False):
    """Keyword options of `PostgresLocks` and `MySQLLocks`.

    Attributes:
        prefix: put before every name. Default `stockade:`.
        lease_s: after so many seconds without a sign of life from its session a holder counts its lock as lost.
            Default 30.
        connections: at most so many to the server, for all holders and waiters together. Default 8; of an engine or a
            pool of the caller 2, and 1 where it has only two.
        patience_s: a call that has no time limit of its own ends after so many seconds without an answer. Default 5.
        token_ttl_s: (MySQLLocks) how long the row of a lock that nobody uses is kept, 1 or more. Default 600. Tokens
            are microseconds of the server's clock, so a forgotten one is a lower number than the next, unless the clock
            is set back by more than this.
    """

    prefix: str
    lease_s: float
    connections: int
    patience_s: float
    token_ttl_s: float


class MakesDialect(Protocol):
    """The class of a dialect."""

    def __call__(self, source: Source, prefix: str, patience_s: float, token_ttl_s: float) -> LockDialect:
        """See `PostgresLockDialect`."""
        ...


class SyncSessionProvider(sync_api.Provider):
    """Locks of one database, for threads."""

    _database: DatabaseKind
    _dialect: MakesDialect

    def __init__(self, where: Any, options: SessionOptions) -> None:
        runtime = SyncRuntime()
        made = _checked(where, type(self), options, for_asyncio=False)
        backend = _backend(runtime, LoopThreadRunner(), made, options, on_lost=self._mark_lost)
        super().__init__(runtime, backend, sync_api.Lease, LockOptions(lease_s=options.get("lease_s", _LEASE_S)))

    def _mark_lost(self, owner_id: str, reason: str) -> None:
        self.manager.mark_owner_lost(owner_id, reason)  # the manager is made after the backend


class AsyncSessionProvider(async_api.Provider):
    """Locks of one database, for asyncio."""

    _database: DatabaseKind
    _dialect: MakesDialect

    def __init__(self, where: Any, options: SessionOptions) -> None:
        runtime = AsyncRuntime()
        made = _checked(where, type(self), options, for_asyncio=True)
        backend = _backend(runtime, AwaitingRunner(), made, options, on_lost=self._mark_lost)
        super().__init__(runtime, backend, async_api.Lease, LockOptions(lease_s=options.get("lease_s", _LEASE_S)))

    def _mark_lost(self, owner_id: str, reason: str) -> None:
        self.manager.mark_owner_lost(owner_id, reason)  # the manager is made after the backend


class _Made(NamedTuple):
    dialect: LockDialect
    connections: int


def _checked(
    where: Any,
    provider: type[SyncSessionProvider] | type[AsyncSessionProvider],
    options: SessionOptions,
    *,
    for_asyncio: bool,
) -> _Made:
    """The dialect over what the caller gave, and how many connections it uses. Errors as for `PostgresLocks`."""
    unknown: Any = options.keys() - SessionOptions.__annotations__.keys()
    if unknown:
        known = ", ".join(SessionOptions.__annotations__)
        raise TypeError(f"there is no option {', '.join(sorted(unknown))}, only {known}")
    patience_s, prefix = options.get("patience_s", PATIENCE_S), options.get("prefix", PREFIX)
    seconds("patience_s", patience_s)
    text("prefix", prefix)
    token_ttl_s = options.get("token_ttl_s", TOKEN_TTL_S)
    token_lifetime(token_ttl_s)
    if (wanted := options.get("connections")) is not None:
        count("connections", wanted, 1)
    source = source_for(where, provider._database, patience_s, for_asyncio=for_asyncio)  # noqa: SLF001 - a subclass
    return _Made(
        provider._dialect(source, prefix, patience_s, token_ttl_s),  # noqa: SLF001 - the same
        connections_of(source, wanted, CONNECTIONS),
    )


def _backend(
    runtime: Runtime,
    runner: Runner,
    made: _Made,
    options: SessionOptions,
    *,
    on_lost: Callable[[str, str], None],
) -> SessionBackend:
    patience_s = options.get("patience_s", PATIENCE_S)
    return SessionBackend(
        runtime, made.dialect, runner, connections=made.connections, patience_s=patience_s, on_lost=on_lost
    )
