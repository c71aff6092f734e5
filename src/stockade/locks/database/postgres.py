"""PostgreSQL advisory locks (manual, 13.3.5 "Advisory Locks"), held by a few sessions of their own.

The token is `pg_current_xact_id()`, read after the grant, so it grows from grant to grant. A session's
application_name names the lock that it took last and its owner, for `inspect` in other processes.

Behind a pooler in transaction mode a lock would be taken in one server session and released in another. So a pooler
must show that a client keeps its session. Neighbours: `dialect.py`, `sources` (where the connections come from).
"""

import asyncio
import re
import weakref
from collections.abc import Callable
from typing import Any, Unpack

from stockade.core import NotSupported
from stockade.locks.database.dialect import ListedSession, SourceOwner, hashed, run_first_statements
from stockade.locks.database.providers import AsyncSessionProvider, SessionOptions, SyncSessionProvider
from stockade.locks.database.sources.choose import DatabaseKind
from stockade.locks.database.sources.source import Source
from stockade.locks.database.sources.url import PostgresUrl
from stockade.locks.engine.lock_request import LockRequest
from stockade.locks.errors import LockUnavailable, missing

# application_name: "<name> <first half of the lock's key> <owner> <token> <metadata>", cut by the server at 63 bytes; a
# token that no blank follows may have lost digits
_LABEL = re.compile(r" ([0-9a-f]{8}) (\S+)(?: (\d+) (.*))?")
_APPLICATION = "stockade"
_APPLICATION_CHARS = 16
_METADATA_CHARS = 20
_CHECK_INTERVAL_MS = 1000  # the server looks so often whether a waiting client is still there (PostgreSQL 14 and later)
# limits that a server or a role sets would end a wait, or a session that holds a lock
_LIMITS = ("statement_timeout", "idle_session_timeout", "transaction_timeout")
_NO_LIMITS = "SELECT " + ", ".join(
    f"CASE WHEN current_setting('{name}', true) IS NOT NULL THEN set_config('{name}', '0', false) END AS {name}"
    for name in _LIMITS  # older servers do not know all of them
)
_CHANGED = (*_LIMITS, "lock_timeout", "client_connection_check_interval", "application_name")
_READ_SETTINGS = "SELECT " + ", ".join(f"current_setting('{name}', true) AS {name}" for name in _CHANGED)
_POOLERS_SAY = ("26000", "42P05", "08P01")  # prepared in one session, executed in another
_TIME_IS_UP = ("55P03", "57014")  # lock_timeout; an interrupt
_PROBES = 4  # each time a pooler in transaction mode could show itself
_PROBE_S = 2.0  # a second session that does not come in this time: the first one keeps its own
_POOLER = (
    "a connection pooler in transaction or statement mode stands before PostgreSQL, so a session lock would leak to "
    "the next user of its session: give PostgresLocks the server's own address, or a pool in session mode"
)
_NO_SECOND = "a connection pooler stands before PostgreSQL, and its mode is checked with a second connection"


def _from_url(url: str, patience_s: float) -> Source:
    try:
        import asyncpg  # noqa: F401 - whether it is there
    except ImportError as error:
        raise missing("postgres", "asyncpg") from error
    return PostgresUrl(url, patience_s)


DATABASE = DatabaseKind("PostgreSQL", "PostgresLocks", _from_url, ("postgresql",), "asyncpg", ("psycopg", "psycopg2"))


class PostgresLockDialect(SourceOwner):
    """The statements, over connections with the methods of asyncpg's.

    Args:
        source: of the connections.
        prefix: put before every name.
        patience_s: a connection is made within so many seconds.
        token_ttl_s: without effect: a transaction number needs no memory.
    """

    kind = "PostgreSQL"

    def __init__(self, source: Source, prefix: str, patience_s: float, token_ttl_s: float = 0.0) -> None:
        super().__init__(source, patience_s)
        self._prefix = prefix
        self._application = (source.application or _APPLICATION)[:_APPLICATION_CHARS]
        self._numbers: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._settings: weakref.WeakKeyDictionary[Any, dict[str, str]] = weakref.WeakKeyDictionary()  # of the caller
        self._keeps_sessions = False  # a pooler has shown that each client keeps its session

    async def connect(self, ended: Callable[[Any], None], timeout_s: float | None = None) -> Any:
        connection, left_s = await self.connected(timeout_s)
        await run_first_statements(connection, self._prepare(connection), left_s, self.abort)
        connection.add_termination_listener(ended)
        return connection

    async def clean(self, connection: Any, ended: Callable[[Any], None]) -> None:
        connection.remove_termination_listener(ended)
        settings = self._settings.pop(connection, {})
        again = "".join(f", set_config('{name}', ${n}, false) AS {name}" for n, name in enumerate(settings, 1))
        await connection.fetchrow(f"SELECT pg_advisory_unlock_all(){again}", *settings.values())

    async def _prepare(self, connection: Any) -> None:
        if self.given:
            found = await connection.fetchrow(_READ_SETTINGS)
            self._settings[connection] = {
                name: value for name, value in zip(_CHANGED, found, strict=True) if value is not None
            }
        greeted = connection.get_server_pid()  # before the statement: a driver forgets it when the connection ends
        number = await self._read_number(connection)
        if number != greeted and not self._keeps_sessions:  # only poolers invent a number
            await self._probe(connection, number)
            self._keeps_sessions = True
        self._numbers[connection] = number
        await connection.execute(_NO_LIMITS)
        try:
            await connection.execute(f"SET client_connection_check_interval = {_CHECK_INTERVAL_MS}")
        except Exception as error:
            if _sqlstate(error) is None:
                raise
            return  # an older server, or another system: a cancelled wait then ends with its own time limit

    async def _read_number(self, connection: Any) -> int:
        try:
            return int(await connection.fetchval("SELECT pg_backend_pid()"))
        except Exception as error:
            if _sqlstate(error) not in _POOLERS_SAY:
                raise
            raise NotSupported(_POOLER) from error

    async def _probe(self, connection: Any, number: int) -> None:
        """Alternate with a second client: in transaction mode both get the same free session, or change theirs.

        Raises:
            NotSupported: they do.
            LockUnavailable: the caller's pool has no connection for the second client.
        """
        try:
            async with asyncio.timeout(_PROBE_S):
                other = await self._source.connect(_PROBE_S)
        except (OSError, TimeoutError) as error:
            if self.given:
                raise LockUnavailable.unsent(f"{_NO_SECOND}: {error}") from error
            return  # no room for a second session: ours was not free for it
        reading = asyncio.ensure_future(self._read_number(other))
        try:
            await asyncio.wait({reading}, timeout=_PROBE_S)
            if not reading.done():
                return  # the same
            others = {reading.result()}
            for _ in range(_PROBES):
                ours = await self._read_number(connection)
                others.add(await self._read_number(other))
                if ours != number or number in others or len(others) > 1:
                    raise NotSupported(_POOLER)
        finally:
            self.abort(other)
            await asyncio.wait({reading})  # ends: its connection is gone

    def number(self, connection: Any) -> int:
        return self._numbers.get(connection, 0)

    def transport(self, connection: Any) -> Any:
        return getattr(connection, "_transport", None)

    def gone(self, connection: Any) -> bool:
        return bool(connection.is_closed())

    def _key(self, name: str) -> int:
        return int.from_bytes(hashed(self._prefix, name)[:8], "big", signed=True)

    def _label(self, key: int, owner: str) -> str:
        return f"{self._application} {key & 0xFFFFFFFF:08x} {owner} "

    def _same_session(self, connection: Any, number: int) -> None:
        if number != self._numbers.get(connection):
            self.abort(connection)
            raise NotSupported(_POOLER)

    async def try_acquire(self, connection: Any, request: LockRequest) -> int | None:
        key = self._key(request.spec.name)
        sql = """
            SELECT session, token,
                   CASE WHEN token IS NOT NULL THEN set_config('application_name', $2 || token || ' ' || $3, false) END
            FROM (SELECT pg_backend_pid() AS session,
                         CASE WHEN pg_try_advisory_lock($1) THEN pg_current_xact_id()::text END AS token
                  OFFSET 0) AS t"""
        row = await connection.fetchrow(
            sql, key, self._label(key, request.owner_id), request.spec.metadata[:_METADATA_CHARS]
        )
        self._same_session(connection, row[0])
        return None if row[1] is None else int(row[1])

    async def wait(self, connection: Any, request: LockRequest, wait_s: float) -> bool:
        key = self._key(request.spec.name)
        sql = "SELECT set_config('lock_timeout', $1, false), set_config('application_name', $2, false)"
        await connection.fetchrow(sql, f"{max(1, round(wait_s * 1000))}ms", self._label(key, request.owner_id).rstrip())
        try:
            await connection.execute(f"SELECT pg_advisory_lock({key})")
        except Exception as error:
            if _sqlstate(error) not in _TIME_IS_UP:
                raise
            await connection.execute(f"SELECT pg_advisory_unlock({key})")  # it may have been granted in that moment
            return False
        return True

    async def record_owner(self, connection: Any, request: LockRequest) -> int:
        key = self._key(request.spec.name)
        sql = """SELECT pg_backend_pid(), pg_current_xact_id()::text,
            set_config('application_name', $1 || pg_current_xact_id()::text || ' ' || $2, false)"""
        row = await connection.fetchrow(
            sql, self._label(key, request.owner_id), request.spec.metadata[:_METADATA_CHARS]
        )
        self._same_session(connection, row[0])
        return int(row[1])

    async def release(self, connection: Any, name: str, last: bool) -> bool:
        if not last:  # the label may name another lock, which is still held
            return bool(await connection.fetchval("SELECT pg_advisory_unlock($1)", self._key(name)))
        sql = "SELECT pg_advisory_unlock($1), set_config('application_name', $2, false)"
        return bool(await connection.fetchval(sql, self._key(name), self._application))

    async def ping(self, connection: Any) -> bool:
        try:
            number = await connection.fetchval("SELECT pg_backend_pid()")
        except Exception as error:
            if _sqlstate(error) != "57014":  # an interrupt that came after the end of its statement
                raise
            return True
        return bool(number == self._numbers.get(connection))

    async def interrupt(self, connection: Any, session: int) -> None:
        await connection.fetchval("SELECT pg_cancel_backend($1)", session)

    async def list_sessions(self, connection: Any, name: str) -> list[ListedSession]:
        sql = """
            SELECT l.pid, l.granted, a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid)
            WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND (l.classid::bigint << 32 | l.objid::bigint) = $1
              AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
            ORDER BY l.granted DESC, l.waitstart"""
        key = self._key(name)
        return [_listed_session(row, f"{key & 0xFFFFFFFF:08x}") for row in await connection.fetch(sql, key)]

    async def end_session(self, connection: Any, session: int) -> None:
        await connection.fetchval("SELECT pg_terminate_backend($1, 2000)", session)


def _listed_session(row: Any, key: str) -> ListedSession:
    """Of a session that has taken another lock since, only the number is known."""
    number, granted, name = row
    label = _LABEL.search(name or "")
    if label is None or label[1] != key:
        return ListedSession(number, granted, f"session {number}")
    return ListedSession(number, granted, label[2], int(label[3] or 0), (label[4] or "").strip())


def _sqlstate(error: Exception) -> str | None:
    """The code that the server gave; None: the error is not the server's."""
    return getattr(error, "sqlstate", None)


class PostgresLocks(SyncSessionProvider):
    """Advisory locks of one PostgreSQL database, for threads.

    Args:
        where: `postgresql://user:password@host/database`, or what the caller has already: an `Engine` of SQLAlchemy
            over psycopg or psycopg2, a pool of either (anything with `getconn` and `putconn`), or a function that makes
            connections of either. Behind a pooler: only in session mode.
        **options: see `SessionOptions`.

    Raises:
        MissingExtra: asyncpg is not installed, and `where` is a URL.
        NotSupported: (when a lock is taken) a connection pooler in transaction mode stands before the server.
        TypeError: `where` is none of these, or an option is of another type.
        ValueError: the URL, the engine or a number cannot be used.
    """

    _database = DATABASE
    _dialect = PostgresLockDialect

    def __init__(self, where: Any, **options: Unpack[SessionOptions]) -> None:
        super().__init__(where, options)


class AioPostgresLocks(AsyncSessionProvider):
    """Advisory locks of one PostgreSQL database, for asyncio; exported as `stockade.locks.aio.PostgresLocks`.

    Args:
        where: a URL, or what the caller has already: an `AsyncEngine` of SQLAlchemy over asyncpg, a `Pool` of asyncpg,
            or an async function that makes connections of asyncpg.
        **options: see `SessionOptions`.

    Errors are those of `PostgresLocks`.
    """

    _database = DATABASE
    _dialect = PostgresLockDialect

    def __init__(self, where: Any, **options: Unpack[SessionOptions]) -> None:
        super().__init__(where, options)
