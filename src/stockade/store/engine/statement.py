"""A statement that is compiled once and sent many times, and the values that writes give to statements.

Neighbours: `dialect` keeps the statements, `postgres.ctes` renders the largest itself.
"""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import Connection, Table
from sqlalchemy.engine import Dialect as SqlDialect

from stockade.store.schema.resource import Resource

Values: TypeAlias = Mapping[str, Any]


class Writes(NamedTuple):
    """Records to insert, parents first, and to delete, by table; locked rows to update, by resource."""

    inserts: Mapping[Table, Sequence[Values]] = {}
    deletes: Mapping[Table, Sequence[Values]] = {}
    updates: Mapping[Resource, Sequence[Values]] = {}


class ExpectedRows(NamedTuple):
    """Rows of one table on which a batch was decided, and what it changes them to.

    Columns whose names end with `_` are the key.

    Attributes:
        table: of the rows.
        rows: the key and the expected values of each row, in the order in which they are locked.
        changes: the key and the new values of those that change.
    """

    table: Table
    rows: Sequence[Values]
    changes: Sequence[Values]


class CompiledSql(NamedTuple):
    """The text of a statement in the dialect of its database, and the names of its parameters in order."""

    text: str
    names: tuple[str, ...]


def compile_sql(statement: Any, sql: SqlDialect) -> CompiledSql:
    """Compile a Core statement."""
    compiled = statement.compile(dialect=sql)
    return CompiledSql(str(compiled), tuple(compiled.positiontup or ()))


class PreparedStatement:
    """A statement that is compiled once and sent to the driver's cursor directly.

    PEP 249 below Core: a statement through Core's Connection costs twice the processor time of the same one through
    the cursor, most of it for result metadata that the callers here know already.
    """

    __slots__ = ("_sql", "_values")

    def __init__(self, statement: CompiledSql) -> None:
        self._sql, names = statement
        self._values: Callable[[Values], tuple[Any, ...]] = (
            itemgetter(*names) if len(names) > 1 else lambda values: tuple([values[name] for name in names])
        )

    def rows(self, connection: Connection, values: Values) -> list[Any]:
        """Run it and fetch every row, as a plain sequence of columns."""
        cursor = self._run(connection, values)
        try:
            return list(cursor.fetchall())
        finally:
            cursor.close()

    def count(self, connection: Connection, values: Values) -> int:
        """Run it; how many rows matched."""
        cursor = self._run(connection, values)
        try:
            return int(cursor.rowcount)
        finally:
            cursor.close()

    def many(self, connection: Connection, rows: Sequence[Values]) -> None:
        """Run it once for each set of values."""
        connection.exec_driver_sql(self._sql, list(map(self._values, rows)))

    def _run(self, connection: Connection, values: Values) -> Any:
        cursor = connection.connection.cursor()
        cursor.execute(self._sql, self._values(values))
        return cursor
