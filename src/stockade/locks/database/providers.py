"""What `PostgresLocks` and `MySQLLocks` have in common, for threads and for asyncio: their options and constructor."""

from collections.abc import Callable
from typing import Any, Protocol, TypedDict

from stockade.locks import async_api, sync_api
from stockade.locks.database.backend import CONNECTIONS, PATIENCE_S, SessionBackend
from stockade.locks.database.dialect import LockDialect
from stockade.locks.database.runner import AwaitingRunner, LoopThreadRunner, Runner
from stockade.locks.engine.lock_request import LockOptions
from stockade.locks.runtime.async_runtime import AsyncRuntime
from stockade.locks.runtime.runtime import Runtime
from stockade.locks.runtime.sync_runtime import SyncRuntime

_LEASE_S = 30.0


class SessionOptions(TypedDict, total=False):
    """Keyword options of `PostgresLocks` and `MySQLLocks`.

    Attributes:
        prefix: put before every name. Default empty.
        lease_s: after so many seconds without a sign of life from its session a holder counts its lock as lost.
            Default 30.
        connections: at most so many to the server, for all holders and waiters together. Default 8.
        patience_s: a call that has no time limit of its own ends after so many seconds without an answer. Default 5.
    """

    prefix: str
    lease_s: float
    connections: int
    patience_s: float


class MakesDialect(Protocol):
    """The class of a dialect."""

    def __call__(self, url: str, prefix: str, patience_s: float) -> LockDialect:
        """See `PostgresLockDialect`."""
        ...


class SyncSessionProvider(sync_api.Provider):
    """Locks of one database, for threads."""

    def __init__(self, dialect: MakesDialect, url: str, options: SessionOptions) -> None:
        runtime = SyncRuntime()
        backend = _backend(runtime, LoopThreadRunner(), dialect, url, options, on_lost=self._mark_lost)
        super().__init__(runtime, backend, sync_api.Lease, LockOptions(lease_s=options.get("lease_s", _LEASE_S)))

    def _mark_lost(self, owner_id: str, reason: str) -> None:
        self.manager.mark_owner_lost(owner_id, reason)  # the manager is made after the backend


class AsyncSessionProvider(async_api.Provider):
    """Locks of one database, for asyncio."""

    def __init__(self, dialect: MakesDialect, url: str, options: SessionOptions) -> None:
        runtime = AsyncRuntime()
        backend = _backend(runtime, AwaitingRunner(), dialect, url, options, on_lost=self._mark_lost)
        super().__init__(runtime, backend, async_api.Lease, LockOptions(lease_s=options.get("lease_s", _LEASE_S)))

    def _mark_lost(self, owner_id: str, reason: str) -> None:
        self.manager.mark_owner_lost(owner_id, reason)  # the manager is made after the backend


def _backend(
    runtime: Runtime,
    runner: Runner,
    dialect: MakesDialect,
    url: str,
    options: SessionOptions,
    *,
    on_lost: Callable[[str, str], None],
) -> SessionBackend:
    unknown: Any = options.keys() - SessionOptions.__annotations__.keys()
    if unknown:
        known = ", ".join(SessionOptions.__annotations__)
        raise TypeError(f"there is no option {', '.join(sorted(unknown))}, only {known}")
    patience_s = options.get("patience_s", PATIENCE_S)
    made = dialect(url, options.get("prefix", ""), patience_s)
    connections = options.get("connections", CONNECTIONS)
    return SessionBackend(runtime, made, runner, connections=connections, patience_s=patience_s, on_lost=on_lost)
