"""The statements of PostgreSQL: arrays instead of rows, one statement for all writes of a batch.

Neighbours: `batch_statement` has that statement, `connect` the connections.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from sqlalchemy import ARRAY, Connection, Table, bindparam, func, select

from stockade.store.engine.dialect import MIGRATION_LOCK, Dialect, MigrationRuns
from stockade.store.engine.expressions import select_rows
from stockade.store.engine.statement import ExpectedRows, Values, Writes
from stockade.store.postgres.batch_statement import BatchStatement
from stockade.store.postgres.ctes import Part, without_length
from stockade.store.schema.resource import Resource
from stockade.store.schema.tables import WRITTEN_BY

# Transactions only look rows up by key. Fresh or just emptied tables tempt the planner into scans that a cached
# generic plan then keeps when the table has grown.
POINT_LOOKUPS = {
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",
}

# The same for one transaction. asyncpg reads `jit` when it looks types up, and sets what it has read for the session.
NO_JIT = {"jit_above_cost": "-1"}
LOCAL_LOOKUPS = {name: value for name, value in POINT_LOOKUPS.items() if name != "jit"} | NO_JIT

BOUNDS = "SELECT set_config('lock_timeout', $1, true), set_config('statement_timeout', $2, true)"
STATEMENT_GRACE_MS = 200  # a statement may take that much longer than a wait for a lock


class PostgresDialect(Dialect):
    """FOR NO KEY UPDATE row locks, `unnest` arrays, data-modifying CTEs."""

    name: ClassVar[str] = "postgres"
    now_ms_sql: ClassVar[str] = "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)"
    supports_single_statement: ClassVar[bool] = True
    migrates_in_steps: ClassVar[bool] = True

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
        self.bound(connection, left_s)
        if advisory:
            # one lock after the other in the order of the array, which is sorted by the number itself
            numbers = sorted({_advisory_number(name) for name in advisory})
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(n) FROM unnest($1::bigint[]) AS n", (numbers,))

    def bound(self, connection: Connection, left_s: float) -> None:
        """Bound the statements of this transaction, where those of the connection are beyond its deadline."""
        if not self.bounds_waits_within(left_s):
            ms = max(1, int(left_s * 1000))
            connection.exec_driver_sql(
                BOUNDS,
                (str(ms), str(ms + STATEMENT_GRACE_MS)),
            )

    @contextmanager
    def migrating(self, connection: Connection) -> Iterator[None]:
        # Nobody waits for the lock on the server: the snapshot of who waits would hold CREATE INDEX CONCURRENTLY up.
        number = _advisory_number(MIGRATION_LOCK)
        session = connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT"
        if not session:  # a migration may take longer than an order
            connection.exec_driver_sql("SELECT set_config('statement_timeout', '0', true)")
        call = "pg_try_advisory_lock" if session else "pg_try_advisory_xact_lock"
        if not connection.exec_driver_sql(f"SELECT {call}($1)", (number,)).scalar():
            raise MigrationRuns
        yield
        if session:  # after an error the connection is thrown away
            connection.exec_driver_sql("SELECT pg_advisory_unlock($1)", (number,))

    def load(
        self, connection: Connection, resource: Resource, ids: Sequence[str], lock: bool, *, nowait: bool = False
    ) -> list[Any]:
        lock = lock and not resource.many

        def build() -> Any:
            wanted = resource.table.c[resource.parent] == func.any(bindparam("ids", type_=_array(resource.table, "id")))
            statement = select_rows(resource).where(wanted)
            return self.locking(statement, resource.table, nowait=nowait) if lock else statement

        return self.prepared(("load", resource, lock, nowait), build).rows(connection, {"ids": list(ids)})

    def known_requests(self, connection: Connection, table: Table, ids: Sequence[str]) -> list[Any]:
        def build() -> Any:
            wanted = table.c.id == func.any(bindparam("ids", type_=_array(table, "id")))
            return select(table.c.id, table.c.fingerprint, table.c.outcome).where(wanted)

        return self.prepared(("known", table.key), build).rows(connection, {"ids": list(ids)})

    def insert_all(self, connection: Connection, batches: Mapping[Table, Sequence[Values]]) -> None:
        self.write_all(connection, Writes(batches))

    def delete_all(self, connection: Connection, table: Table, rows: Sequence[Values]) -> None:
        self.write_all(connection, Writes(deletes={table: rows}))

    def update_locked(self, connection: Connection, resource: Resource, rows: Sequence[Values]) -> None:
        self.write_all(connection, Writes(updates={resource: rows}))

    def insert_missing(self, connection: Connection, table: Table, rows: Sequence[Values]) -> None:
        # unnest keeps the order of the arrays, which is key order
        self._send(connection, [Part("insert missing", table, tuple(rows[0]), rows)])

    def write_all(self, connection: Connection, writes: Writes) -> None:
        parts = _parts(writes)
        if parts:
            self._send(connection, parts)

    def bounds_waits_within(self, left_s: float) -> bool:
        return left_s >= 0.9 * self._wait_s

    def write_if_unchanged(self, connection: Connection, expected: Sequence[ExpectedRows], writes: Writes) -> bool:
        checks = [Part("check", table, tuple(rows[0]), rows) for table, rows, _ in expected]
        updates = [Part("update", table, tuple(rows[0]), rows) for table, _, rows in expected if rows]
        return self._send(connection, [*checks, *updates, *_parts(writes)])

    def _send(self, connection: Connection, parts: Sequence[Part]) -> bool:
        batch = BatchStatement(parts)
        statement = self.prepared(batch.shape, lambda: batch.render(self.sql))
        return bool(statement.rows(connection, batch.values))


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


def _advisory_number(name: str) -> int:
    """A signed 64-bit number for an advisory lock. Two names may share one: then they only wait for each other."""
    digest = hashlib.blake2b(name.encode(), digest_size=16, person=b"stockade").digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _array(table: Table, name: str) -> Any:
    found = table.c[name] if name in table.c else next(iter(table.primary_key.columns))
    return ARRAY(without_length(found.type))


class PooledPostgresDialect(PostgresDialect):
    """Behind a pooler, which may give each transaction another session of the server.

    So nothing belongs to the session: the settings are made in each transaction, statements are not kept prepared, and
    there is no statement that is a transaction of its own (the driver prepares it in one transaction and runs it in
    the next). Advisory locks belong to the transaction anyway.
    """

    supports_single_statement: ClassVar[bool] = False
    migrates_in_steps: ClassVar[bool] = False  # nothing may belong to the session

    def __init__(self, sql: Any, wait_s: float) -> None:
        super().__init__(sql, wait_s)
        lookups = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in LOCAL_LOOKUPS.items())
        self._settings = f"{BOUNDS}, {lookups}"

    def bound(self, connection: Connection, left_s: float) -> None:
        ms = max(1, int(min(left_s, self._wait_s) * 1000))
        connection.exec_driver_sql(self._settings, (str(ms), str(ms + STATEMENT_GRACE_MS)))
