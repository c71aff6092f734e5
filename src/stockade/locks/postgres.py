"""PostgreSQL advisory locks (manual, 13.3.5 "Advisory Locks"), held by sessions of their own.

Behind a pooler in transaction mode session locks would leak from one user to the next, so poolers are refused. The
token is `pg_current_xact_id()`, read after the grant, so it grows from grant to grant. Neighbour: `sessions.py`.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from stockade.core import NotSupported
from stockade.locks import tasks, threads
from stockade.locks.ask import Ask, Holder, LockInfo, LockOptions
from stockade.locks.blocking import BlockingPort
from stockade.locks.errors import LockUnavailable, missing
from stockade.locks.loop import AsyncioPort
from stockade.locks.sessions import AwaitingRunner, LoopThreadRunner, SessionBackend, hashed

_LABEL = "stockade "  # application_name: "stockade <owner> <token> <metadata>", 63 bytes at most
_CALL_S = 5.0
_POOLER = (
    "a connection pooler stands before PostgreSQL, so a session lock would leak to the next user of its session: "
    "give PostgresLocks the address of the server itself"
)


class PostgresDialect:
    """The statements, through asyncpg."""

    def __init__(self, dsn: str, prefix: str) -> None:
        try:
            import asyncpg
        except ImportError as error:
            raise missing("postgres", "asyncpg") from error
        self._asyncpg = asyncpg
        self._dsn = dsn
        self._prefix = prefix
        self._trouble = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)

    async def connect(self, ended: Callable[[Any], None]) -> Any:
        try:
            # the server looks each second whether a waiting client is still there (PostgreSQL 14 and later)
            connection = await self._asyncpg.connect(
                self._dsn, timeout=_CALL_S, server_settings={"client_connection_check_interval": "1000"}
            )
        except self._trouble as error:
            raise LockUnavailable(f"PostgreSQL: {error}") from error
        try:
            if not await self._same_session(connection, _CALL_S):
                raise NotSupported(_POOLER)
        except BaseException as error:
            await self.drop(connection)
            if not isinstance(error, self._trouble):
                raise
            raise LockUnavailable(f"PostgreSQL: {error}") from error
        connection.add_termination_listener(ended)
        return connection

    @staticmethod
    async def _same_session(connection: Any, timeout_s: float) -> bool:
        """Whether statements reach the session that greeted us: a pooler invents its number, or changes sessions."""
        pid = await connection.fetchval("SELECT pg_backend_pid()", timeout=timeout_s)
        return bool(pid == connection.get_server_pid())

    def _key(self, name: str) -> int:
        return int.from_bytes(hashed(self._prefix, name)[:8], "big", signed=True)

    async def lock(self, connection: Any, ask: Ask, wait_s: float | None) -> int | None:
        key, label = self._key(ask.spec.name), f"{_LABEL}{ask.owner}"
        try:
            if wait_s is not None and wait_s <= 0:
                if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", key):
                    return None
            else:
                bound = "0" if wait_s is None else str(max(1, round(wait_s * 1000)))
                await connection.fetchval(
                    "SELECT set_config('lock_timeout', $1, false), set_config('application_name', $2, false)",
                    bound,
                    label,
                )
                await connection.execute(f"SELECT pg_advisory_lock({key})")
            marked = await connection.fetchval(
                "SELECT set_config('application_name', $1 || ' ' || pg_current_xact_id()::text || ' ' || $2, false)",
                label,
                ask.spec.metadata[:20],
            )
        except self._asyncpg.LockNotAvailableError:
            await connection.execute("SELECT pg_advisory_unlock_all()")  # it may have been granted in the same moment
            return None
        except self._trouble as error:
            raise LockUnavailable(f"PostgreSQL: {error}", ask.spec.name) from error
        return int(marked.split(" ")[2])

    async def unlock(self, connection: Any, ask: Ask) -> bool:
        try:
            sql = "SELECT pg_advisory_unlock($1), set_config('application_name', 'stockade', false)"
            return bool(await connection.fetchval(sql, self._key(ask.spec.name), timeout=_CALL_S))
        except self._trouble as error:
            raise LockUnavailable(f"PostgreSQL: {error}", ask.spec.name) from error

    async def ping(self, connection: Any, timeout_s: float) -> bool:
        try:
            return await self._same_session(connection, timeout_s)
        except self._trouble:
            return False

    async def drop(self, connection: Any) -> None:
        connection.terminate()
        await asyncio.sleep(0)  # the loop closes the socket in its next turn

    async def _rows(self, connection: Any, name: str) -> list[Any]:
        sql = """
            SELECT l.granted, a.application_name AS label, l.pid FROM pg_locks l JOIN pg_stat_activity a USING (pid)
            WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND (l.classid::bigint << 32 | l.objid::bigint) = $1
              AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
            ORDER BY l.granted DESC, l.waitstart"""
        rows: list[Any] = await connection.fetch(sql, self._key(name), timeout=_CALL_S)
        return rows

    async def inspect(self, connection: Any, name: str) -> LockInfo:
        rows = await self._rows(connection, name)
        labels = [(row["granted"], (row["label"].removeprefix(_LABEL) + "  ").split(" ", 2)) for row in rows]
        holders = [Holder(at[0], int(at[1] or 0), float("inf"), at[2].strip()) for granted, at in labels if granted]
        return LockInfo(name, tuple(holders), tuple(at[0] for granted, at in labels if not granted))

    async def break_(self, connection: Any, name: str) -> bool:
        pids = [row["pid"] for row in await self._rows(connection, name) if row["granted"]]
        for pid in pids:
            with contextlib.suppress(self._asyncpg.PostgresError):
                await connection.fetchval("SELECT pg_terminate_backend($1, 2000)", pid)
        return bool(pids)


class PostgresLocks(threads.Provider):
    """Advisory locks of one PostgreSQL database, for threads.

    Args:
        dsn: `postgresql://user:password@host/database`, of the server itself, not of a pooler.
        prefix: put before every name.
        lease_s: after so many seconds without a sign of life from its session a holder counts its lock as lost.

    Raises:
        MissingExtra: asyncpg is not installed.
        NotSupported: (when a lock is taken) a connection pooler stands before the server.
    """

    def __init__(self, dsn: str, *, prefix: str = "", lease_s: float = 30.0) -> None:
        port = BlockingPort()
        backend = SessionBackend(port, PostgresDialect(dsn, prefix), LoopThreadRunner())
        super().__init__(port, backend, threads.Lease, LockOptions(lease_s=lease_s))
        backend.on_lost = self.keeper.lose_owner


class AioPostgresLocks(tasks.Provider):
    """Advisory locks of one PostgreSQL database, for asyncio; exported as `stockade.locks.aio.PostgresLocks`.

    Arguments and errors are those of `PostgresLocks`.
    """

    def __init__(self, dsn: str, *, prefix: str = "", lease_s: float = 30.0) -> None:
        port = AsyncioPort()
        backend = SessionBackend(port, PostgresDialect(dsn, prefix), AwaitingRunner())
        super().__init__(port, backend, tasks.Lease, LockOptions(lease_s=lease_s))
        backend.on_lost = self.keeper.lose_owner
