"""MariaDB and MySQL user locks (`GET_LOCK`), held by sessions of their own, with tokens from a counter table.

The table `stockade_fences` is made at the first connection; it also says who got the lock last.
Neighbour: `sessions.py`.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

from stockade.locks import tasks, threads
from stockade.locks.ask import Ask, Holder, LockInfo, LockOptions
from stockade.locks.blocking import BlockingPort
from stockade.locks.errors import LockUnavailable, missing
from stockade.locks.loop import AsyncioPort
from stockade.locks.sessions import AwaitingRunner, LoopThreadRunner, SessionBackend, cancellation_kept, hashed

_CALL_S = 5.0
_FOREVER_S = 31_536_000  # GET_LOCK wants a number; MariaDB reads a negative one as 0
_TABLE = """
    CREATE TABLE IF NOT EXISTS stockade_fences (
        name VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin PRIMARY KEY,
        token BIGINT NOT NULL, owner VARCHAR(64) NOT NULL, metadata TEXT NOT NULL)"""
_COUNT_UP = """
    INSERT INTO stockade_fences (name, token, owner, metadata) VALUES (%s, LAST_INSERT_ID(1), %s, %s)
    ON DUPLICATE KEY UPDATE token = LAST_INSERT_ID(token + 1), owner = VALUES(owner), metadata = VALUES(metadata)"""


class MySQLDialect:
    """The statements, through asyncmy."""

    def __init__(self, url: str, prefix: str) -> None:
        try:
            import asyncmy
        except ImportError as error:
            raise missing("mysql", "asyncmy") from error
        self._asyncmy = asyncmy
        parts = urlsplit(url)
        self._where = {
            "host": parts.hostname or "127.0.0.1",
            "port": parts.port or 3306,
            "user": unquote(parts.username or "root"),
            "password": unquote(parts.password or ""),
            "db": parts.path.strip("/") or None,
        }
        self._prefix = prefix
        self._trouble = (asyncmy.errors.MySQLError, OSError, TimeoutError, RuntimeError)

    async def connect(self, ended: Callable[[Any], None]) -> Any:
        connection = None

        async def prepare() -> None:
            nonlocal connection
            connection = await self._asyncmy.connect(autocommit=True, connect_timeout=_CALL_S, **self._where)
            await self._ask(connection, "SET SESSION sql_notes = 0")  # or "table exists" comes as a warning
            await self._ask(connection, _TABLE)

        try:
            await cancellation_kept(prepare())
        except BaseException as error:
            if connection is not None:
                connection.close()
            if isinstance(error, self._trouble):
                raise LockUnavailable(f"MySQL: {error}") from error
            raise
        return connection

    @staticmethod
    async def _ask(connection: Any, sql: str, *args: Any) -> Any:
        async with connection.cursor() as cursor:
            await cursor.execute(sql, args or None)
            return await cursor.fetchall()

    def _key(self, name: str) -> str:
        return f"stockade:{hashed(self._prefix, name).hex()}"

    async def lock(self, connection: Any, ask: Ask, wait_s: float | None) -> int | None:
        key = self._key(ask.spec.name)
        try:
            bound_s = _FOREVER_S if wait_s is None else wait_s
            if (await self._ask(connection, "SELECT GET_LOCK(%s, %s)", key, bound_s))[0][0] != 1:
                return None
            await self._ask(connection, _COUNT_UP, key, ask.owner, ask.spec.metadata)
            return int((await self._ask(connection, "SELECT LAST_INSERT_ID()"))[0][0])
        except self._trouble as error:
            raise LockUnavailable(f"MySQL: {error}", ask.spec.name) from error

    async def unlock(self, connection: Any, ask: Ask) -> bool:
        try:
            async with asyncio.timeout(_CALL_S):
                rows = await self._ask(connection, "SELECT RELEASE_LOCK(%s)", self._key(ask.spec.name))
                return bool(rows[0][0] == 1)
        except self._trouble as error:
            raise LockUnavailable(f"MySQL: {error}", ask.spec.name) from error

    async def ping(self, connection: Any, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                await connection.ping(reconnect=False)
        except self._trouble:
            return False
        return True

    async def drop(self, connection: Any) -> None:
        """Close the socket, and tell the server: it notices a gone client only between two waits."""
        number = connection.thread_id()
        connection.close()
        try:
            async with asyncio.timeout(_CALL_S):
                other = await self._asyncmy.connect(autocommit=True, **self._where)
                with contextlib.suppress(self._asyncmy.errors.MySQLError):  # gone already
                    await self._ask(other, f"KILL {int(number)}")
                other.close()
        except self._trouble:  # no server: no session either
            return

    async def inspect(self, connection: Any, name: str) -> LockInfo:
        key = self._key(name)
        used = (await self._ask(connection, "SELECT IS_USED_LOCK(%s)", key))[0][0]
        sql = "SELECT id FROM information_schema.processlist WHERE state = 'User lock' AND info LIKE %s ORDER BY id"
        waiters = await self._ask(connection, sql, f"%{key}%")
        rows = await self._ask(connection, "SELECT owner, token, metadata FROM stockade_fences WHERE name = %s", key)
        holders = (Holder(rows[0][0], int(rows[0][1]), float("inf"), rows[0][2]),) if used and rows else ()
        return LockInfo(name, holders, tuple(f"session {row[0]}" for row in waiters))

    async def break_(self, connection: Any, name: str) -> bool:
        used = (await self._ask(connection, "SELECT IS_USED_LOCK(%s)", self._key(name)))[0][0]
        if used:
            await self._ask(connection, f"KILL {int(used)}")
        return bool(used)


class MySQLLocks(threads.Provider):
    """User locks of one MariaDB or MySQL server, for threads.

    Args:
        url: `mysql://user:password@host:3306/database` or `mariadb://…`.
        prefix: put before every name.
        lease_s: after so many seconds without a sign of life from its session a holder counts its lock as lost.

    Raises:
        MissingExtra: asyncmy is not installed.
    """

    def __init__(self, url: str, *, prefix: str = "", lease_s: float = 30.0) -> None:
        port = BlockingPort()
        backend = SessionBackend(port, MySQLDialect(url, prefix), LoopThreadRunner())
        super().__init__(port, backend, threads.Lease, LockOptions(lease_s=lease_s))


class AioMySQLLocks(tasks.Provider):
    """User locks of one MariaDB or MySQL server, for asyncio; exported as `stockade.locks.aio.MySQLLocks`.

    Arguments and errors are those of `MySQLLocks`.
    """

    def __init__(self, url: str, *, prefix: str = "", lease_s: float = 30.0) -> None:
        port = AsyncioPort()
        backend = SessionBackend(port, MySQLDialect(url, prefix), AwaitingRunner())
        super().__init__(port, backend, tasks.Lease, LockOptions(lease_s=lease_s))
