"""The statements of MariaDB and MySQL: IN lists, multi-row inserts, JSON arrays for bulk updates.

Neighbours: `compound` has the statement of a small batch, `connect` the connections.
"""

import hashlib
import json
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar

from sqlalchemy import BigInteger, Connection, Integer, Select, Table
from sqlalchemy.engine.interfaces import CoreExecuteOptionsParameter

from stockade.core import Busy
from stockade.store.engine.dialect import MIGRATION_LOCK, Dialect, MigrationRuns
from stockade.store.engine.statement import Values, Writes
from stockade.store.mysql.compound import compound, quoted
from stockade.store.schema.resource import Resource
from stockade.store.schema.types import MARIADB_COLLATION, MYSQL_COLLATION

# A text that is sent once is not prepared: that would be a further round trip, and the server would keep it parsed.
AS_TEXT: CoreExecuteOptionsParameter = {"no_parameters": True}


class MysqlDialect(Dialect):
    """InnoDB. Lock waits count in whole seconds and belong to the session; advisory locks too (GET_LOCK)."""

    name: ClassVar[str] = "mysql"
    now_ms_sql: ClassVar[str] = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) DIV 1000"
    skipping_taken_keys: ClassVar[str] = "IGNORE"
    returning: ClassVar[bool] = False
    collation: ClassVar[str] = MYSQL_COLLATION
    migrates_in_steps: ClassVar[bool] = True
    isolates_in_transaction: ClassVar[bool] = True

    def isolate(self, connection: Connection, level: str) -> None:
        # Of the next transaction, which the server begins with the next statement. SQLAlchemy would set the session's
        # and set it back after the commit: where that fails, a committed order would look like one that is not.
        connection.exec_driver_sql(f"SET TRANSACTION ISOLATION LEVEL {level}", execution_options=AS_TEXT)

    def before_begin(self, connection: Connection, left_s: float) -> None:
        seconds = max(1, math.ceil(left_s))
        if connection.info.get("lock_wait_s") != seconds:
            connection.exec_driver_sql(f"SET SESSION innodb_lock_wait_timeout = {seconds}")
            connection.commit()
            connection.info["lock_wait_s"] = seconds

    @contextmanager
    def reading(self, connection: Connection, limit_s: float) -> Iterator[None]:
        limit = self.limit(limit_s)
        if connection.info.get("limit") != limit:  # most reads have the limit of the one before
            cursor = connection.connection.cursor()
            try:
                cursor.execute(limit)
            finally:
                cursor.close()
            connection.info["limit"] = limit
        yield

    @staticmethod
    def limit(limit_s: float) -> str:
        """The statement that bounds the queries of a session."""
        return f"SET SESSION max_execution_time = {max(1, math.ceil(limit_s * 1000))}"

    @contextmanager
    def migrating(self, connection: Connection) -> Iterator[None]:
        if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":  # its transaction has the lock
            yield
            return
        with ExitStack() as held:
            try:
                held.enter_context(self.holding(connection, (MIGRATION_LOCK,), 0))
            except Busy as error:
                raise MigrationRuns from error
            yield

    @contextmanager
    def holding(self, connection: Connection, advisory: Sequence[str], left_s: float) -> Iterator[None]:
        if not advisory:
            yield
            return
        names = sorted({_advisory_name(name, connection.engine.url.database or "") for name in advisory})
        held: list[str] = []
        start = time.monotonic()
        try:
            for name in names:
                rest_s = max(0.0, left_s - (time.monotonic() - start))
                answer = connection.exec_driver_sql("SELECT GET_LOCK(%s, %s)", (name, rest_s)).scalar()
                if answer != 1:
                    raise Busy(f"the advisory lock did not come in {left_s:.1f} s")
                held.append(name)
            connection.commit()  # ends the implicit transaction: what follows reads what is committed now
            yield
        finally:
            self._release(connection, held)

    @staticmethod
    def _release(connection: Connection, held: Sequence[str]) -> None:
        """Release after commit or rollback; a connection that cannot is thrown away, which releases as well."""
        if not held or connection.invalidated:
            return
        try:
            calls = ", ".join(["RELEASE_LOCK(%s)"] * len(held))  # not all locks: the session may have others
            connection.exec_driver_sql(f"SELECT {calls}", tuple(held))
            connection.rollback()
        except Exception:  # noqa: BLE001 - whatever it was, this connection is of no more use
            connection.invalidate()

    def locking(self, statement: Select[Any], table: Table, *, nowait: bool = False) -> Select[Any]:
        # The primary key's range is read, and so locked, in key order; another plan would lock in its own.
        for name in ("mysql", "mariadb"):
            statement = statement.with_hint(table, "FORCE INDEX (PRIMARY)", name)
        return statement.with_for_update(nowait=nowait)

    def update_locked(self, connection: Connection, resource: Resource, rows: Sequence[Values]) -> None:
        plain = all(_fits(resource.table, name) for name in rows[0])
        if len(rows) < 3 or not plain:  # below three, a statement each is as fast
            super().update_locked(connection, resource, rows)
            return
        names = tuple(rows[0])
        statement = self._bulk_update(resource, names)
        connection.exec_driver_sql(statement, (json.dumps([[row[name] for name in names] for row in rows]),))

    def _bulk_update(self, resource: Resource, names: Sequence[str]) -> str:
        """UPDATE … JOIN JSON_TABLE: the one bulk update both databases have; Core has no expression for it."""
        table = resource.table
        columns = ", ".join(f"`{name}` {self._type(table, name)} PATH '$[{n}]'" for n, name in enumerate(names))
        moves = ", ".join(f"t.`{name}` = v.`{name}`" for name in names if name != "id_")
        return (
            f"UPDATE JSON_TABLE(%s, '$[*]' COLUMNS ({columns})) AS v "  # noqa: S608 - names of our own tables
            f"STRAIGHT_JOIN {quoted(table)} AS t ON t.id = v.id_ COLLATE {self.collation} SET {moves}"
        )

    def _type(self, table: Table, name: str) -> str:
        type_ = table.c[name.removesuffix("_")].type
        if isinstance(type_, BigInteger | Integer):
            return "BIGINT"
        return f"VARCHAR({getattr(type_, 'length', None) or 255}) CHARACTER SET utf8mb4"


def _advisory_name(name: str, database: str) -> str:
    """A name of at most 64 characters for GET_LOCK, unlikely to be anybody else's.

    Args:
        name: of the lock.
        database: whose lock it is: these names belong to the whole server. Upper and lower case are one, as they may
            be to the server: at worst two databases wait for each other.
    """
    digest = hashlib.blake2b(f"{database.lower()}:{name}".encode(), digest_size=16, person=b"stockade").digest()
    return f"stockade:{digest.hex()}"


def _fits(table: Table, name: str) -> bool:
    """Whether JSON_TABLE can carry the column: it cuts a value that is longer than the type in its COLUMNS."""
    type_ = table.c[name.removesuffix("_")].type
    return isinstance(type_, BigInteger | Integer) or bool(getattr(type_, "length", None))


class MariaDialect(MysqlDialect):
    """MariaDB: another collation, and all writes of a batch as one compound statement."""

    name: ClassVar[str] = "mariadb"
    collation: ClassVar[str] = MARIADB_COLLATION

    @staticmethod
    def limit(limit_s: float) -> str:
        return f"SET SESSION max_statement_time = {max(0.001, limit_s):.3f}"

    def write_all(self, connection: Connection, writes: Writes) -> None:
        text = compound(writes)
        if text is None:
            super().write_all(connection, writes)
        else:
            connection.exec_driver_sql(text, execution_options=AS_TEXT)
