"""Locks that database sessions hold, as a provider's backend: the end of a session is the end of its locks.

There is no lease to run out on the server, so a paused holder keeps its lock, and a dead one loses it when the server
notices. The holder's own deadline moves with every sign of life of its session. Neighbour: `session_locks.py`.
"""

import os
import sys
import time
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import TypeVar

from stockade.core import NotSupported
from stockade.locks.checks import count, seconds
from stockade.locks.database.dialect import LockDialect
from stockade.locks.database.runner import Runner
from stockade.locks.database.session_locks import SessionLocks
from stockade.locks.engine.lock_request import Grant, Kind, LockInfo, LockRequest
from stockade.locks.errors import LockError, ProviderClosed
from stockade.locks.runtime.runtime import Runtime

T = TypeVar("T")
CONNECTIONS = 8
PATIENCE_S = 5.0


class SessionBackend:
    """Mutexes over at most `connections` sessions.

    Args:
        runtime: time, waiting and background work, for asyncio or for threads.
        dialect: the kind of database.
        runner: where the driver's coroutines run.
        connections: at most so many, for holders and waiters together.
        patience_s: what has no time limit of its own ends after so many seconds without an answer.
        on_lost: called with an owner id and the reason for each lock that ended with its session.

    Raises:
        TypeError, ValueError: a number that makes no sense.
    """

    needs_lease = False

    def __init__(
        self,
        runtime: Runtime,
        dialect: LockDialect,
        runner: Runner,
        *,
        connections: int = CONNECTIONS,
        patience_s: float = PATIENCE_S,
        on_lost: Callable[[str, str], None],
    ) -> None:
        count("connections", connections, 1)
        seconds("patience_s", patience_s)
        self._runtime = runtime
        self._dialect = dialect
        self._runner = runner
        self.patience_s = patience_s
        self.where = dialect.where
        self._bounds = connections, patience_s
        self._locks: SessionLocks | None = None
        self._place: Hashable = None
        self._closed = False
        self._on_lost = on_lost

    def _here(self) -> SessionLocks:
        """The locks of this process and event loop. Those of a parent process, or of an unused loop, are forgotten.

        Raises:
            ProviderClosed: it was closed.
            LockError: another event loop still uses it.
        """
        if self._closed:
            raise ProviderClosed()
        place = self._runner.place()
        if self._locks is None or place != self._place:
            if self._locks is not None:
                self._leave(self._locks)
            self._locks, self._place = SessionLocks(self._dialect, *self._bounds, self._lost), place
        return self._locks

    def _leave(self, locks: SessionLocks) -> None:
        process, loop = self._place if isinstance(self._place, tuple) else (self._place, None)
        if process != os.getpid():
            return  # its sockets are the parent's: see `fork.py`
        if locks.in_use and loop is not None and not loop.is_closed():
            raise LockError("the provider holds or awaits locks in another event loop: make one for each loop")
        locks.pool.abandon(loop_closed=loop is not None and loop.is_closed())
        for owner_id in list(locks.holds):
            self._on_lost(owner_id, "its event loop was closed")

    def change_loop(self) -> None:
        """Let go of everything that belongs to the event loop of before. Errors as for `_here`."""
        if self._locks is not None:
            self._leave(self._locks)
            self._locks = None

    def _lost(self, owner_ids: list[str], reason: str) -> None:
        """Report it in a task or thread of its own: callbacks may use the locks, and must not block their loop."""

        async def report() -> None:
            for owner_id in owner_ids:
                self._on_lost(owner_id, reason)

        self._runtime.spawn(report(), "stockade-lock-lost")

    async def acquire(self, request: LockRequest, deadline: float) -> Grant | None:
        if request.spec.kind != "lock":
            raise NotSupported(
                "database sessions hold mutexes only; use RedisLocks for read/write locks and semaphores"
            )
        began = time.monotonic()
        try:
            hold = await self._run(lambda locks: locks.acquire(request, deadline, began))
        except Exception:
            raise
        except BaseException:  # a grant may have arrived in the moment of the interrupt
            self._runtime.run_to_end(self._withdraw(request))
            raise
        return None if hold is None else Grant(hold.fencing_token, hold.sent_at + request.spec.lease_s)

    async def _run(self, work: Callable[[SessionLocks], Awaitable[T]]) -> T:
        """Run `work` with the locks of this process and event loop, where their connections live. Errors: `_here`."""

        async def call() -> T:
            return await work(self._here())

        return await self._runner.run(call())

    async def _withdraw(self, request: LockRequest) -> None:
        try:
            await self.release(request)
        except LockError:
            return  # the session releases it when it answers, or ends

    async def release(self, request: LockRequest) -> bool:
        if sys.is_finalizing():  # a finalizer: the sessions end with the process, and the locks with them
            return True
        began = time.monotonic()
        return await self._run(lambda locks: locks.release(request.owner_id, began))

    async def extend(self, requests: Sequence[LockRequest], timeout_s: float) -> Sequence[bool | None]:
        owner_ids = [request.owner_id for request in requests]
        return await self._run(lambda locks: locks.extend(owner_ids, timeout_s))

    async def inspect(self, name: str, kind: Kind) -> LockInfo:
        began = time.monotonic()
        return await self._run(lambda locks: locks.inspect(name, began))

    async def break_(self, name: str, kind: Kind) -> bool:
        began = time.monotonic()
        return await self._run(lambda locks: locks.break_(name, began))

    async def raise_fence(self, name: str, at_least: int) -> None:
        raise NotSupported("the tokens of a database live in it and cannot be forgotten, so there is nothing to raise")

    async def close(self) -> None:
        if self._closed:
            return
        if self._locks is not None:
            await self._runner.run(self._close())
        self._closed = True
        await self._runner.close()

    async def _close(self) -> None:
        if self._locks is not None and self._place == self._runner.place():
            await self._locks.close()
        elif self._locks is not None:
            self._leave(self._locks)
