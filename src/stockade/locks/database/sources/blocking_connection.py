"""Blocking DB-API connections (PEP 249) with the methods of asyncpg's and asyncmy's that the locks call.

Each has a thread of its own, in which all of its calls run one after another. To end a call from outside, the socket is
shut down: the driver then reads an end of file. Neighbour: `blocking_pools.py` (where the connections come from).
"""

import asyncio
import contextlib
import os
import queue
import re
import select
import socket
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from stockade.drivers.failures import describe

T = TypeVar("T")
_PLACEHOLDER = re.compile(r"\$(\d+)")
_HUNG_UP = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR


class DbApiError(Exception):
    """An error of a DB-API driver, with the code that the server gave.

    Attributes:
        sqlstate: of PostgreSQL; None: the server gave none.
        mysql_errno: of MySQL or MariaDB; None likewise.
    """

    def __init__(self, *args: Any, sqlstate: str | None, mysql_errno: int | None) -> None:
        super().__init__(*args)
        self.sqlstate = sqlstate
        self.mysql_errno = mysql_errno


class ConnectionThread:
    """Runs the blocking calls of one connection, one after another, in a daemon thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._ending = False
        threading.Thread(target=self._run, name="stockade-lock-connection", daemon=True).start()

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            call()

    async def call(self, work: Callable[[], T]) -> T:
        """The result of `work()`. A caller that is cancelled does not end it.

        Raises:
            ConnectionError: the thread has ended, or will.
        """
        if self._ending:
            raise ConnectionError("the connection was given up")
        future: asyncio.Future[T] = self._loop.create_future()

        def run() -> None:
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 - the caller gets it
                self._tell(future, error=error)
            else:
                self._tell(future, result)

        self._calls.put(run)
        return await future

    def _tell(self, future: "asyncio.Future[Any]", result: Any = None, error: Exception | None = None) -> None:
        def tell() -> None:
            if future.done():
                return
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(tell)

    def end(self, *last: Callable[[], None]) -> None:
        """End after the present call, and these."""
        self._ending = True
        for work in last:
            self._calls.put(work)
        self._calls.put(None)


class _Transport:
    """The socket of a blocking connection, as far as `fork.py` and `leftover.py` use an asyncio transport."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def get_extra_info(self, name: str) -> "_Transport | None":
        return self if name == "socket" else None

    def fileno(self) -> int:
        return self._descriptor

    def abort(self) -> None:
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self._descriptor)) as copy:  # ended already
            copy.shutdown(socket.SHUT_RDWR)


class BlockingConnection:
    """What both kinds of database have in common.

    Args:
        raw: the driver's connection.
        thread: in which its calls run.
        new_cursor: makes a cursor of it that returns tuples.
        error_type: the base class of the driver's errors.
    """

    def __init__(
        self, raw: Any, thread: ConnectionThread, new_cursor: Callable[[Any], Any], error_type: type[Exception]
    ) -> None:
        self.raw = raw
        self.thread = thread
        self._new_cursor = new_cursor
        self._error_type = error_type
        self._aborted = False
        found = getattr(raw, "fileno", None)
        self._descriptor = found() if found is not None else raw._sock.fileno()  # noqa: SLF001 - PyMySQL has no public way

    @property
    def ended(self) -> bool:
        """Whether it was closed here or at the other side. No I/O."""
        if self._aborted:
            return True
        poll = select.poll()
        try:
            poll.register(self._descriptor, _HUNG_UP)
            return bool(poll.poll(0))
        except OSError:
            return True

    def abort(self) -> None:
        """Shut its socket down: the call in its thread fails."""
        if not self._aborted:
            self._aborted = True
            _Transport(self._descriptor).abort()

    def let_go(self) -> None:
        """Never shut its socket down any more: it is its pool's again, or its number is that of another socket."""
        self._aborted = True

    @property
    def _transport(self) -> _Transport | None:
        return None if self._aborted else _Transport(self._descriptor)

    async def run(self, sql: str, args: tuple[Any, ...] | None, *, row_id: bool = False) -> Any:
        """The rows of a statement, or the id of the row that it wrote.

        Raises:
            DbApiError: the server refused.
            ConnectionError: the connection has ended.
        """

        def work() -> Any:
            try:
                with contextlib.closing(self._new_cursor(self.raw)) as cursor:
                    cursor.execute(sql, args or None)
                    if row_id:
                        return int(cursor.lastrowid)
                    return cursor.fetchall() if cursor.description else []
            except self._error_type as error:
                raise self._translated(error) from error

        return await self.thread.call(work)

    def _translated(self, error: Exception) -> Exception:
        sqlstate = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
        code = error.args[0] if error.args and isinstance(error.args[0], int) else None
        if (sqlstate is None and code is None) or self.ended:
            return ConnectionError(describe(error))
        return DbApiError(*error.args, sqlstate=sqlstate, mysql_errno=code)


class PostgresBlocking(BlockingConnection):
    """With the methods of asyncpg's connection."""

    async def fetch(self, sql: str, *args: Any) -> Any:
        """All rows; `$1` names the first argument."""
        order = [int(number) - 1 for number in _PLACEHOLDER.findall(sql)]
        return await self.run(_PLACEHOLDER.sub("%s", sql), tuple(args[place] for place in order))

    async def fetchrow(self, sql: str, *args: Any) -> Any:
        """The first row."""
        return (await self.fetch(sql, *args))[0]

    async def fetchval(self, sql: str, *args: Any) -> Any:
        """The first value."""
        return (await self.fetchrow(sql, *args))[0]

    async def execute(self, sql: str) -> None:
        """A statement without arguments."""
        await self.run(sql, None)

    def get_server_pid(self) -> int:
        """The number of the session, as the greeting gave it."""
        return int(self.raw.info.backend_pid)

    def is_closed(self) -> bool:
        """Whether it has ended. No I/O."""
        return self.ended

    def terminate(self) -> None:
        """As `abort`."""
        self.abort()

    def add_termination_listener(self, ended: Callable[[Any], None]) -> None:
        """Nothing: the pool of sessions asks `is_closed` every second."""

    remove_termination_listener = add_termination_listener


class _Cursor:
    """As much of asyncmy's cursor as the locks use."""

    def __init__(self, connection: BlockingConnection) -> None:
        self._connection = connection
        self._rows: Any = []
        self.lastrowid = 0

    async def __aenter__(self) -> "_Cursor":
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None

    async def execute(self, sql: str, args: tuple[Any, ...] | None = None) -> None:
        """Run a statement; rows of a SELECT, or the id of an INSERT."""
        if sql.lstrip().startswith("INSERT"):
            self.lastrowid = await self._connection.run(sql, args, row_id=True)
        else:
            self._rows = await self._connection.run(sql, args)

    async def fetchall(self) -> Any:
        """The rows of the last statement."""
        return self._rows


class MySQLBlocking(BlockingConnection):
    """With the methods of asyncmy's connection."""

    def cursor(self, *_: Any) -> _Cursor:
        """For one statement after another."""
        return _Cursor(self)

    def thread_id(self) -> int:
        """The number of the session."""
        return int(self.raw.thread_id())

    def get_server_info(self) -> str:
        """The version text."""
        return str(self.raw.get_server_info())

    @property
    def _stream_broken(self) -> bool:
        return self.ended
