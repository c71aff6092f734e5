"""MariaDB and MySQL user locks (`GET_LOCK`), held by a few sessions of their own, with tokens from a counter table.

The table `stockade_fences` is made when it is missing; it also names the last owner of each lock. A token is the
server's microseconds, or one more than the last token where that is ahead of them. So the row of a lock that nobody
uses can be deleted after a while. A session may hold several locks since MySQL 5.7 and MariaDB 10.0.2. Neighbour:
`dialect.py`.
"""

import math
import time
import weakref
from collections.abc import Callable
from typing import Any, Unpack

from stockade.core import NotSupported
from stockade.drivers.failures import Failure, classify, describe
from stockade.locks.database.dialect import ListedSession, SourceOwner, hashed, run_first_statements
from stockade.locks.database.providers import AsyncSessionProvider, SessionOptions, SyncSessionProvider
from stockade.locks.database.sources.choose import DatabaseKind
from stockade.locks.database.sources.source import Source
from stockade.locks.database.sources.url import MySQLUrl
from stockade.locks.engine.lock_request import LockRequest
from stockade.locks.errors import missing
from stockade.locks.events import log

_INTERRUPTED = 1317  # the answer to a statement that KILL QUERY has ended
_IDLE_S = 2_147_483  # the longest `wait_timeout` that every system takes: a session that holds a lock may be idle
_DEADLOCK = 3058  # of user locks, in MySQL: the wait was given up
_TABLE_MISSING = 1146
_TABLE = (
    "CREATE TABLE IF NOT EXISTS stockade_fences (name VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin PRIMARY KEY, "
    "token BIGINT NOT NULL, owner VARCHAR(64) CHARACTER SET utf8mb4 NOT NULL, "
    "metadata TEXT CHARACTER SET utf8mb4 NOT NULL)"
)
_ALL_LETTERS = (
    "ALTER TABLE stockade_fences MODIFY owner VARCHAR(64) CHARACTER SET utf8mb4 NOT NULL, "
    "MODIFY metadata TEXT CHARACTER SET utf8mb4 NOT NULL"
)
_OWNER_CHARS = 64
_CHARSET = """
    SELECT character_set_name FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'stockade_fences' AND column_name = 'metadata'"""
_NOW_US = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))"
_NEXT_TOKEN = f"""
    INSERT INTO stockade_fences (name, token, owner, metadata) VALUES (%s, LAST_INSERT_ID({_NOW_US}), %s, %s)
    ON DUPLICATE KEY UPDATE token = LAST_INSERT_ID(GREATEST(token + 1, {_NOW_US})), owner = VALUES(owner),
    metadata = VALUES(metadata)"""  # noqa: S608 - a constant
_LEAST_CLOCK = 10**15  # tokens below are of version 0.1, which counts from 1: their rows stay
_PURGED_AT_ONCE = 1000  # rows at most in one statement


def _from_url(url: str, patience_s: float) -> Source:
    try:
        import asyncmy  # noqa: F401 - whether it is there
    except ImportError as error:
        raise missing("mysql", "asyncmy") from error
    return MySQLUrl(url, patience_s)


DATABASE = DatabaseKind("MySQL", "MySQLLocks", _from_url, ("mysql", "mariadb"), "asyncmy", ("pymysql", "mysqldb"))


class MySQLLockDialect(SourceOwner):
    """The statements, over connections with the methods of asyncmy's.

    Args:
        source: of the connections.
        prefix: put before every name.
        patience_s: a connection is made within so many seconds.
        token_ttl_s: see `SessionOptions`.
    """

    kind = "MySQL"

    def __init__(self, source: Source, prefix: str, patience_s: float, token_ttl_s: float) -> None:
        super().__init__(source, patience_s)
        self._prefix = prefix
        self._token_ttl_s = token_ttl_s
        self._purge_at = time.monotonic() + token_ttl_s
        self._table_is_there = False
        self._all_letters = True  # the table's texts hold every letter
        self._settings: weakref.WeakKeyDictionary[Any, tuple[Any, ...]] = weakref.WeakKeyDictionary()  # of the caller

    async def connect(self, ended: Callable[[Any], None], timeout_s: float | None = None) -> Any:
        connection, left_s = await self.connected(timeout_s)
        await run_first_statements(connection, self._prepare(connection), left_s, self.abort)
        return connection  # asyncmy does not report an end: the pool checks `gone`

    async def _prepare(self, connection: Any) -> None:
        longest = _longest(connection)
        if self.given:
            before = await self._fetch(connection, f"SELECT @@autocommit, @@wait_timeout, @@{longest}")
            self._settings[connection] = before[0]
            await self._fetch(connection, "SET SESSION autocommit = 1")
        await self._fetch(connection, f"SET SESSION wait_timeout = {_IDLE_S}, SESSION {longest} = 0")
        if not self._table_is_there:
            await self._need_table(connection)
            self._table_is_there = True

    async def clean(self, connection: Any, ended: Callable[[Any], None]) -> None:
        await self._fetch(connection, "SELECT RELEASE_ALL_LOCKS()")
        settings = self._settings.pop(connection, None)
        if settings is not None:
            names = ("autocommit", "wait_timeout", _longest(connection))
            again = ", ".join(f"SESSION {name} = %s" for name in names)
            await self._fetch(connection, f"SET {again}", *settings)

    async def _need_table(self, connection: Any) -> None:
        """Make the counter table unless it is there, so that a user without the right to make one can use it.

        Raises:
            NotSupported: it is missing and may not be made, or no database is named.
        """
        try:
            found = await self._fetch(connection, _CHARSET)
            if not found:
                await self._fetch(connection, _TABLE)
            elif found[0][0] != "utf8mb4":
                await self._widen(connection)
        except Exception as error:
            if classify(error) is not Failure.REFUSED:
                raise
            raise NotSupported(
                f"MySQLLocks needs the table stockade_fences, with SELECT, INSERT and UPDATE: {describe(error)}. "
                f"Name a database in the URL, and grant CREATE or run: {_TABLE}"
            ) from error

    async def _widen(self, connection: Any) -> None:
        """A table of an earlier version has the character set of its server's default."""
        try:
            await self._fetch(connection, _ALL_LETTERS)
        except Exception as error:
            if classify(error) is not Failure.REFUSED:
                raise
            self._all_letters = False  # no right: owners and metadata are written with escapes

    @staticmethod
    async def _fetch(connection: Any, sql: str, *args: Any) -> Any:
        async with connection.cursor() as cursor:
            await cursor.execute(sql, args or None)
            rows = await cursor.fetchall()
        # a pool of the caller may make dictionaries
        return [tuple(row.values()) if isinstance(row, dict) else row for row in rows]

    def number(self, connection: Any) -> int:
        return int(connection.thread_id())

    def transport(self, connection: Any) -> Any:
        return connection._transport  # noqa: SLF001 - asyncmy has no public way to it

    def gone(self, connection: Any) -> bool:
        return bool(connection._stream_broken)  # noqa: SLF001 - the same

    def _key(self, name: str) -> str:
        return f"stockade:{hashed(self._prefix, name).hex()}"

    def _text(self, text: str) -> str:
        return text if self._all_letters else text.encode("ascii", "backslashreplace").decode()

    async def try_acquire(self, connection: Any, request: LockRequest) -> int | None:
        return await self.record_owner(connection, request) if await self._get(connection, request, 0.0) else None

    async def _get(self, connection: Any, request: LockRequest, wait_s: float) -> bool:
        return bool(
            (await self._fetch(connection, "SELECT GET_LOCK(%s, %s)", self._key(request.spec.name), wait_s))[0][0]
        )

    async def wait(self, connection: Any, request: LockRequest, wait_s: float) -> bool:
        if not _is_mariadb(connection):
            wait_s = int(wait_s)  # MySQL waits whole seconds only, and would round up
        try:
            return await self._get(connection, request, wait_s)
        except Exception as error:
            if classify(error) is not Failure.TIMEOUT and _code(error) != _DEADLOCK:
                raise
            await self._fetch(connection, "SELECT RELEASE_LOCK(%s)", self._key(request.spec.name))
            return False

    async def record_owner(self, connection: Any, request: LockRequest) -> int:
        words = (
            self._key(request.spec.name),
            self._text(request.owner_id)[:_OWNER_CHARS],
            self._text(request.spec.metadata),
        )
        try:
            return await self._count_up(connection, *words)
        except Exception as error:
            if _code(error) != _TABLE_MISSING:
                raise
            await self._need_table(connection)  # it was dropped meanwhile
            return await self._count_up(connection, *words)

    @staticmethod
    async def _count_up(connection: Any, *words: str) -> int:
        async with connection.cursor() as cursor:
            await cursor.execute(_NEXT_TOKEN, words)
            return int(cursor.lastrowid)  # the argument of LAST_INSERT_ID

    def must_purge_tokens(self) -> bool:
        return time.monotonic() >= self._purge_at

    async def purge_tokens(self, connection: Any) -> None:
        """Delete the rows of locks that nobody has used for `token_ttl_s`; without the right to delete they stay."""
        self._purge_at = time.monotonic() + self._token_ttl_s / 2
        old = f"token BETWEEN {_LEAST_CLOCK} AND {_NOW_US} - %s"
        ttl_us = round(self._token_ttl_s * 1_000_000)
        select = f"SELECT name FROM stockade_fences WHERE {old} LIMIT {_PURGED_AT_ONCE}"  # noqa: S608 - constants
        names = [row[0] for row in await self._fetch(connection, select, ttl_us)]  # reads without locks
        if not names:
            return
        marks = ", ".join(["%s"] * len(names))
        delete = f"DELETE FROM stockade_fences WHERE name IN ({marks}) AND {old} AND IS_FREE_LOCK(name) = 1"  # noqa: S608
        try:
            await self._fetch(connection, delete, *names, ttl_us)
        except Exception as error:
            if classify(error) is not Failure.REFUSED:
                raise
            self._purge_at = math.inf
            log.info("old rows of stockade_fences stay: %s", describe(error))
            return
        if len(names) == _PURGED_AT_ONCE:
            self._purge_at = time.monotonic()

    async def release(self, connection: Any, name: str, last: bool) -> bool:
        return bool((await self._fetch(connection, "SELECT RELEASE_LOCK(%s)", self._key(name)))[0][0] == 1)

    async def ping(self, connection: Any) -> bool:
        try:
            return bool((await self._fetch(connection, "SELECT CONNECTION_ID()"))[0][0] == self.number(connection))
        except Exception as error:
            if _code(error) != _INTERRUPTED:  # an interrupt that came after the end of its statement
                raise
            return True

    async def interrupt(self, connection: Any, session: int) -> None:
        await self._fetch(connection, f"KILL QUERY {session}")

    async def list_sessions(self, connection: Any, name: str) -> list[ListedSession]:
        key = self._key(name)
        used = (await self._fetch(connection, "SELECT IS_USED_LOCK(%s)", key))[0][0]
        sql = "SELECT id FROM information_schema.processlist WHERE state = 'User lock' AND info LIKE %s ORDER BY id"
        rows = await self._fetch(connection, sql, f"%{key}%")
        waiters = [ListedSession(row[0], False, f"session {row[0]}") for row in rows]
        if used is None:
            return waiters
        rows = await self._fetch(connection, "SELECT owner, token, metadata FROM stockade_fences WHERE name = %s", key)
        if not rows:
            return [ListedSession(used, True, f"session {used}"), *waiters]
        return [ListedSession(used, True, rows[0][0], int(rows[0][1]), rows[0][2]), *waiters]

    async def end_session(self, connection: Any, session: int) -> None:
        await self._fetch(connection, f"KILL {session}")


def _code(error: Exception) -> Any:
    """The number that the server gave to an error."""
    return error.args[0] if error.args else None


def _longest(connection: Any) -> str:
    """The setting that limits the time of a statement."""
    return "max_statement_time" if _is_mariadb(connection) else "max_execution_time"


def _is_mariadb(connection: Any) -> bool:
    return "mariadb" in str(connection.get_server_info()).lower()


class MySQLLocks(SyncSessionProvider):
    """User locks of one MariaDB or MySQL server, for threads.

    Args:
        where: `mysql://user:password@host:3306/database` or `mariadb://…`, or what the caller has already: an `Engine`
            of SQLAlchemy over PyMySQL or mysqlclient, or a function that makes connections of either.
        **options: see `SessionOptions`.

    Raises:
        MissingExtra: asyncmy is not installed, and `where` is a URL.
        NotSupported: (when a lock is taken) the table `stockade_fences` is missing and may not be made.
        TypeError: `where` is none of these, or an option is of another type.
        ValueError: the URL, the engine or a number cannot be used.
    """

    _database = DATABASE
    _dialect = MySQLLockDialect

    def __init__(self, where: Any, **options: Unpack[SessionOptions]) -> None:
        super().__init__(where, options)


class AioMySQLLocks(AsyncSessionProvider):
    """User locks of one MariaDB or MySQL server, for asyncio; exported as `stockade.locks.aio.MySQLLocks`.

    Args:
        where: a URL, or what the caller has already: an `AsyncEngine` of SQLAlchemy over asyncmy, a `Pool` of asyncmy,
            or an async function that makes connections of asyncmy.
        **options: see `SessionOptions`.

    Errors are those of `MySQLLocks`.
    """

    _database = DATABASE
    _dialect = MySQLLockDialect

    def __init__(self, where: Any, **options: Unpack[SessionOptions]) -> None:
        super().__init__(where, options)
