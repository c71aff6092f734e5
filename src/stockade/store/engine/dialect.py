"""What differs between databases, and the portable default for each point. One subclass per database."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar

from sqlalchemy import (
    ClauseElement,
    Connection,
    Delete,
    Insert,
    Select,
    Table,
    bindparam,
    delete,
    false,
    select,
    update,
)
from sqlalchemy.engine import Dialect as SqlDialect

from stockade.core import GuardKind, NotSupported
from stockade.store.engine.expressions import (
    equal,
    insert_one,
    select_counters,
    select_fence,
    select_rows,
    update_counters,
    update_fence,
    update_one,
)
from stockade.store.engine.statement import (
    CompiledSql,
    ExpectedRows,
    PreparedStatement,
    Values,
    Writes,
    compile_sql,
)
from stockade.store.schema.resource import Resource

MIGRATION_LOCK = "stockade:migrate"  # an advisory lock: one process migrates at a time
MAX_PREPARED = 1_000  # statements kept compiled; far more than the shapes that commands have


class MigrationRuns(Exception):
    """Another process migrates the same database."""


class Dialect:
    """The portable form of every statement of the store; subclasses replace what their database does better.

    Statements are built as Core expressions, compiled once, and then sent as driver SQL: compiling and cache lookups
    would cost more than the statement itself.
    """

    name: ClassVar[str]
    now_ms_sql: ClassVar[str]  # milliseconds since 1970 by the database's clock, whatever the time zone of the session
    skipping_taken_keys: ClassVar[str]  # what stands behind INSERT then, for `insert_missing`
    is_async: ClassVar[bool] = True  # a statement lets the event loop do other work
    reads_outside_transaction: ClassVar[bool] = False  # optimistic guards load in a transaction of their own (SQLite)
    locks_at_begin: ClassVar[bool] = False  # BEGIN takes the one lock that all writers share (SQLite)
    supports_single_statement: ClassVar[bool] = False  # `write_if_unchanged`
    returning: ClassVar[bool] = True  # UPDATE … RETURNING
    unsupported: ClassVar[frozenset[GuardKind]] = frozenset()
    migrates_in_steps: ClassVar[bool] = False  # a migration may be many transactions under one lock of the session
    isolates_in_transaction: ClassVar[bool] = False  # `isolate` follows `after_begin`, instead of before it begins

    def __init__(self, sql: SqlDialect) -> None:
        self.sql = sql
        self._prepared: dict[Hashable, PreparedStatement] = {}

    # -- session -------------------------------------------------------------------------------------------

    def isolate(self, connection: Connection, level: str) -> None:
        """Set the isolation level of one transaction; no message to the server may follow its commit."""
        connection.execution_options(isolation_level=level)

    def before_begin(self, connection: Connection, left_s: float) -> None:
        """Bound lock waits to the time left, in seconds, before the transaction begins."""

    @contextmanager
    def migrating(self, connection: Connection) -> Iterator[None]:
        """Keep other processes from migrating while this one does; here its transaction does.

        Raises:
            MigrationRuns: another process migrates.
        """
        yield

    def after_begin(self, connection: Connection, left_s: float, advisory: Sequence[str]) -> None:
        """Bound lock waits, and take advisory locks, as the first statements of the transaction."""

    @contextmanager
    def reading(self, connection: Connection, limit_s: float) -> Iterator[None]:
        """End each statement of a read on the server, too, when it takes longer than this, in seconds.

        Here the settings of the connection do, and the driver, which cancels what its caller gives up.
        """
        yield

    @contextmanager
    def holding(self, connection: Connection, advisory: Sequence[str], left_s: float) -> Iterator[None]:
        """Hold advisory locks around the whole transaction, where they belong to the session."""
        yield

    def check_writable(self, connection: Connection, requests: Table) -> None:
        """Write nothing, which a server that takes no writes refuses as it refuses any other write."""
        connection.execute(update(requests).where(false()).values(id=requests.c.id))

    # -- statements ----------------------------------------------------------------------------------------

    def prepared(self, shape: Hashable, build: Callable[[], ClauseElement | CompiledSql]) -> PreparedStatement:
        """The compiled statement of this shape; `build()` makes a Core expression or a CompiledSql the first time."""
        found = self._prepared.get(shape)
        if found is None:
            if len(self._prepared) >= MAX_PREPARED:
                self._prepared.clear()
            built = build()
            found = self._prepared[shape] = PreparedStatement(
                built if isinstance(built, CompiledSql) else compile_sql(built, self.sql)
            )
        return found

    def load(
        self, connection: Connection, resource: Resource, ids: Sequence[str], lock: bool, *, nowait: bool = False
    ) -> list[Any]:
        """Rows (id, fields…, version, stamp) of one kind in id order, with `lock` locked in that order.

        With `nowait` a row that another transaction holds is an error at once.
        """
        if resource.many:
            lock = False
        ids = _padded(ids)
        size = len(ids)

        def build() -> Select[Any]:
            names: list[Any] = [bindparam(f"i{n}") for n in range(size)]
            statement = select_rows(resource).where(resource.table.c[resource.parent].in_(names))
            return self.locking(statement, resource.table, nowait=nowait) if lock else statement

        statement = self.prepared(("load", resource, size, lock, nowait), build)
        return statement.rows(connection, {f"i{n}": id_ for n, id_ in enumerate(ids)})

    def locking(self, statement: Select[Any], table: Table, *, nowait: bool = False) -> Select[Any]:
        """Make a select lock its rows for writing."""
        return statement.with_for_update(key_share=True, nowait=nowait)

    def known_requests(self, connection: Connection, table: Table, ids: Sequence[str]) -> list[Any]:
        """(id, fingerprint, outcome) of the request ids that are recorded."""
        ids = _padded(ids)
        size = len(ids)

        def build() -> Select[Any]:
            names: list[Any] = [bindparam(f"i{n}") for n in range(size)]
            return select(table.c.id, table.c.fingerprint, table.c.outcome).where(table.c.id.in_(names))

        statement = self.prepared(("known", table.key, size), build)
        return statement.rows(connection, {f"i{n}": id_ for n, id_ in enumerate(ids)})

    def insert_all(self, connection: Connection, batches: Mapping[Table, Sequence[Values]]) -> None:
        """Insert into several tables, parents first; a taken unique key raises."""
        for table, rows in batches.items():
            columns = tuple(rows[0])
            self.prepared(("insert", table.key, columns), partial(insert_one, table, columns)).many(connection, rows)

    def insert_missing(self, connection: Connection, table: Table, rows: Sequence[Values]) -> None:
        """Insert rows, skipping those that exist."""
        columns = tuple(rows[0])

        def build() -> Insert:
            return insert_one(table, columns).prefix_with(self.skipping_taken_keys)

        self.prepared(("missing", table.key, columns), build).many(connection, rows)

    def replace_all(self, connection: Connection, table: Table, rows: Sequence[Values]) -> None:
        """Insert records, overwriting those of the same primary key: delete, then insert."""
        self.delete_all(connection, table, [{c.name: row[c.name] for c in table.primary_key} for row in rows])
        self.insert_all(connection, {table: rows})

    def delete_all(self, connection: Connection, table: Table, rows: Sequence[Values]) -> None:
        """Delete records by the columns of the first row."""
        columns = tuple(rows[0])

        def build() -> Delete:
            return delete(table).where(equal(table, columns))

        self.prepared(("delete", table.key, columns), build).many(connection, rows)

    def update_locked(self, connection: Connection, resource: Resource, rows: Sequence[Values]) -> None:
        """Write rows that this transaction has locked: no guard needed, any order."""
        self.prepared(("locked", resource), lambda: update_one(resource)).many(connection, rows)

    def write_all(self, connection: Connection, writes: Writes) -> None:
        """Insert, then delete, then write locked rows; in as few statements as the database can."""
        self.insert_all(connection, writes.inserts)
        for table, rows in writes.deletes.items():
            self.delete_all(connection, table, rows)
        for resource, values in writes.updates.items():
            self.update_locked(connection, resource, values)

    def bounds_waits_within(self, left_s: float) -> bool:
        """Whether the session's own settings end a wait for a lock within this time, in seconds."""
        return False

    def write_if_unchanged(self, connection: Connection, expected: Sequence[ExpectedRows], writes: Writes) -> bool:
        """Lock rows in this order and, if all are as expected, write everything; else False, and nothing is written.

        One statement, and so a transaction of its own where none is open; only where `supports_single_statement`.
        """
        raise NotSupported(f"{self.name} has no single statement for a batch")

    def update_guarded(self, connection: Connection, resource: Resource, guard: GuardKind, values: Values) -> int:
        """Write one row if its version (or stamp) is still the one loaded; how many rows matched."""
        statement = self.prepared(("guarded", resource, guard), lambda: update_one(resource, guard))
        return statement.count(connection, values)

    def install_fence(self, connection: Connection, resource: Resource, values: Values) -> int | None:
        """Make (token, owner) the row's newest holder; the stored token if the row refuses, else None."""
        statement = self.prepared(("fence", resource), lambda: update_fence(resource))
        if statement.count(connection, values):
            return None
        stored = self.prepared(("fenced", resource), lambda: select_fence(resource)).rows(connection, values)
        return int(stored[0][0]) if stored else None  # a row that does not exist refuses no holder

    def update_delta(self, connection: Connection, resource: Resource, values: Values) -> Any | None:
        """Move the counters of one row if they stay in range; (version, counters…) afterwards, or None."""
        statement = self.prepared(("delta", resource), lambda: update_counters(resource, self.returning))
        if self.returning:
            rows = statement.rows(connection, values)
            return rows[0] if rows else None
        if statement.count(connection, values) == 0:
            return None
        after = self.prepared(("after", resource), lambda: select_counters(resource))
        return after.rows(connection, values)[0]


def _padded(ids: Sequence[str]) -> list[str]:
    """The ids, the last one repeated up to a power of two: few lengths of IN, so few statements to prepare."""
    return [*ids, *[ids[-1]] * ((1 << (len(ids) - 1).bit_length()) - len(ids))]
