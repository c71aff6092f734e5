"""PostgreSQL over asyncpg: arrays instead of rows, one statement for all writes of a batch."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from sqlalchemy import (
    ARRAY,
    Connection,
    Table,
    bindparam,
    func,
    select,
)
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import create_async_engine

from stockade.core import Busy, NotSupported
from stockade.store.advisory import number
from stockade.store.backends import AsyncBackend, Backend
from stockade.store.ctes import Part, whole
from stockade.store.dialect import Assumed, Dialect, Values, Writes, select_rows
from stockade.store.failures import Failure, classify
from stockade.store.resource import Resource
from stockade.store.tables import WRITTEN_BY
from stockade.store.writes import Writing

# Transactions only look rows up by key. Fresh or just emptied tables tempt the planner into scans that a cached
# generic plan then keeps when the table has grown.
POINT_LOOKUPS = {
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",
}


class PostgresDialect(Dialect):
    """FOR NO KEY UPDATE row locks, `unnest` arrays, data-modifying CTEs."""

    name: ClassVar[str] = "postgres"

    def __init__(self, sql: Any, wait_s: float) -> None:
        super().__init__(sql)
        self._wait_s = wait_s

    def before_begin(self, connection: Connection, left_s: float) -> None:
        driver: Any = connection.connection.driver_connection
        if driver.is_closed() or driver.is_in_transaction():  # a server that went away, a BEGIN that was cancelled
            connection.invalidate()
            level = connection.get_execution_options().get("isolation_level")
            if level is not None:  # the connection that takes its place is a plain one
                connection.execution_options(isolation_level=level)

    def after_begin(self, connection: Connection, left_s: float, advisory: Sequence[str]) -> None:
        if self._too_long(left_s):
            ms = max(1, int(left_s * 1000))
            connection.exec_driver_sql(
                "SELECT set_config('lock_timeout', $1, true), set_config('statement_timeout', $2, true)",
                (str(ms), str(ms + 200)),
            )
        if advisory:
            # one lock after the other in the order of the array, which is sorted by the number itself
            numbers = sorted({number(name) for name in advisory})
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(n) FROM unnest($1::bigint[]) AS n", (numbers,))

    def load(self, connection: Connection, resource: Resource, ids: Sequence[str], lock: bool) -> list[Any]:
        lock = lock and not resource.many

        def build() -> Any:
            wanted = resource.table.c[resource.parent] == func.any(bindparam("ids", type_=_array(resource.table, "id")))
            statement = select_rows(resource).where(wanted)
            return self.locking(statement, resource.table) if lock else statement

        return self.prepared(("load", resource.kind, lock), build).rows(connection, {"ids": list(ids)})

    def known_requests(self, connection: Connection, table: Table, ids: Sequence[str]) -> list[Any]:
        def build() -> Any:
            wanted = table.c.id == func.any(bindparam("ids", type_=_array(table, "id")))
            return select(table.c.id, table.c.fingerprint, table.c.outcome).where(wanted)

        return self.prepared(("known", table.name), build).rows(connection, {"ids": list(ids)})

    def insert_all(self, connection: Connection, batches: Mapping[Table, Sequence[Values]]) -> None:
        self.write_all(connection, Writes(batches))

    def delete_all(self, connection: Connection, table: Table, rows: Sequence[Values]) -> None:
        self.write_all(connection, Writes(deletes={table: rows}))

    def update_held(self, connection: Connection, resource: Resource, rows: Sequence[Values]) -> None:
        self.write_all(connection, Writes(updates={resource: rows}))

    def open_all(self, connection: Connection, table: Table, rows: Sequence[Values]) -> None:
        # unnest keeps the order of the arrays, which is key order
        self._send(connection, [Part("open", table, tuple(rows[0]), rows)])

    def write_all(self, connection: Connection, writes: Writes) -> None:
        parts = _parts(writes)
        if parts:
            self._send(connection, parts)

    def may_write_at_once(self, left_s: float) -> bool:
        return not self._too_long(left_s)

    def _too_long(self, left_s: float) -> bool:
        """Whether the connection's own bounds of its waits are beyond a deadline."""
        return left_s < 0.9 * self._wait_s

    def write_at_once(self, connection: Connection, assumed: Sequence[Assumed], writes: Writes) -> bool:
        checks = [Part("check", table, tuple(rows[0]), rows) for table, rows, _ in assumed]
        moves = [Part("update", table, tuple(rows[0]), rows) for table, _, rows in assumed if rows]
        return self._send(connection, [*checks, *moves, *_parts(writes)])

    def _send(self, connection: Connection, parts: Sequence[Part]) -> bool:
        writing = Writing(parts)
        statement = self.prepared(writing.shape, lambda: writing.statement(self.sql))
        return bool(statement.rows(connection, writing.values))


def _parts(writes: Writes) -> list[Part]:
    return [
        *(part for table, rows in writes.inserts.items() for part in _insertions(table, rows)),
        *(Part("delete", table, tuple(rows[0]), rows) for table, rows in writes.deletes.items()),
        *(Part("update", resource.table, tuple(rows[0]), rows) for resource, rows in writes.updates.items()),
    ]


def _insertions(table: Table, rows: Sequence[Values]) -> list[Part]:
    """One part, or one for each value of the column that the table's `info` says to write it by."""
    by = table.info.get(WRITTEN_BY)
    groups: dict[Any, list[Values]] = {}
    for row in rows:
        groups.setdefault(row[by] if by else None, []).append(row)
    return [Part("insert", table, tuple(group[0]), group) for group in groups.values()]


def _array(table: Table, name: str) -> Any:
    found = table.c[name] if name in table.c else next(iter(table.primary_key.columns))
    return ARRAY(whole(found.type))


def _check_encoding(connection: Any) -> None:
    """Refuse a database that cannot hold every text, before a text is lost in it.

    Raises:
        NotSupported: its encoding is not UTF8; the server has reported it with the connection, so nothing is sent.
    """
    encoding = connection.driver_connection.get_settings().server_encoding
    if encoding != "UTF8":
        raise NotSupported(
            f"the database's encoding is {encoding}, which cannot hold every text: make it with ENCODING 'UTF8', for"
            " example CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0"
        )


async def connect(url: URL, pool_size: int, wait_s: float) -> tuple[URL, Backend]:
    """Two pools: one for transactions with plans pinned to point lookups, one for queries."""
    ms = max(1, int(wait_s * 1000))
    bounds = {"application_name": "stockade", "lock_timeout": str(ms), "statement_timeout": str(ms + 200)}
    isolation = {"default_transaction_isolation": "read committed"}  # whatever the server's own is
    settings = {"server_settings": {**bounds, **isolation, **POINT_LOOKUPS}}
    # last in, first out: few connections are busy, and a statement has to be prepared on each
    writers = create_async_engine(
        url, pool_size=pool_size, max_overflow=0, pool_pre_ping=False, pool_use_lifo=True, connect_args=settings
    )
    reader_count = max(2, min(pool_size, 8))
    readers = create_async_engine(
        url,
        pool_size=reader_count,
        max_overflow=0,
        isolation_level="AUTOCOMMIT",
        connect_args={"server_settings": {**bounds, "jit": "off"}},
    )
    try:
        async with writers.connect() as connection:
            _check_encoding(await connection.get_raw_connection())
    except Exception as error:
        await writers.dispose()
        await readers.dispose()
        if classify(error) is Failure.LOST:
            raise Busy(f"PostgreSQL cannot be reached: {error}", "DEPENDENCY_DOWN") from error
        raise
    return url, AsyncBackend(PostgresDialect(writers.dialect, wait_s), writers, readers, reader_count)
