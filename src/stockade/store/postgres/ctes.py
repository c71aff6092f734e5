"""The text of a batch's statement: `WITH` one part for each table, checks first, then `SELECT 1`.

SQLAlchemy's compiler would block the event loop at the first batch of every new shape (docs/adr/0002). SQLAlchemy's
dialect quotes the names and names the types; every value is a parameter. Neighbour: `batch_statement` chooses the parts
and the parameters.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import String, Table, Text
from sqlalchemy.engine import Dialect as SqlDialect

from stockade.store.engine.statement import CompiledSql, Values

UNCHANGED = "stockade_unchanged"  # has a row if every check found what it expected; no table has such a name
GIVEN, STORED = "given", "stored"  # the rows of the arrays, and those of the table


class Part(NamedTuple):
    """Rows to `check`, `insert`, `insert missing`, `delete` or `update` in one table; all have the same columns.

    In a check or an update, columns whose names end with `_` are the key.
    """

    kind: str
    table: Table
    names: tuple[str, ...]
    rows: Sequence[Values]

    @property
    def shape(self) -> tuple[str, str, tuple[str, ...], bool]:
        """What the part's statement depends on."""
        return self.kind, self.table.fullname, self.names, len(self.rows) == 1


def render(parts: Sequence[Part], same_as: Mapping[str, str], sql: SqlDialect) -> CompiledSql:
    """One statement for all parts. It returns a row if every check found the expected rows; without checks, always.

    Args:
        parts: checks before all others.
        same_as: parameter -> the parameter that has equal values and is sent for both.
        sql: names columns and types.
    """
    parameters = Parameters(same_as, sql)
    ctes: list[str] = []
    unchanged = condition = ""  # that the checks so far found the expected rows; the condition of all other parts
    for n, part in enumerate(parts):
        text = PartSql(n, part, parameters, sql)
        if part.kind == "check":
            ctes.append(f"stockade_w{n} AS ({text.check(unchanged)})")
            unchanged = f"(SELECT count(*) FROM stockade_w{n} WHERE same) = {parameters.count(n)}"  # noqa: S608 - as below
        else:
            if unchanged and not condition:
                ctes.append(f"{UNCHANGED} AS (SELECT 1 WHERE {unchanged})")
                condition = f"EXISTS (SELECT 1 FROM {UNCHANGED})"  # noqa: S608 - as below
            ctes.append(f"stockade_w{n} AS ({text.write(condition)})")
    found = f" WHERE {condition or unchanged}" if unchanged else ""
    return CompiledSql(f"WITH {', '.join(ctes)} SELECT 1{found}", tuple(parameters.names))


class Parameters:
    """Numbers the parameters in the order in which they are first named."""

    def __init__(self, same_as: Mapping[str, str], sql: SqlDialect) -> None:
        self.names: list[str] = []
        self._same_as, self._sql = same_as, sql
        self._numbers: dict[str, int] = {}

    def of(self, n: int, table: Table, name: str, many: bool) -> str:
        """The value of a column of part `n`, or the array of its values."""
        return self._cast(f"p{n}_{name}", _type_name(self._sql, type_of(table, name)) + ("[]" if many else ""))

    def count(self, n: int) -> str:
        """How many rows a check has."""
        return self._cast(count_parameter(n), "BIGINT")

    def _cast(self, parameter: str, type_: str) -> str:
        carrier = self._same_as.get(parameter, parameter)
        if carrier not in self._numbers:
            self.names.append(carrier)
            self._numbers[carrier] = len(self.names)
        return f"${self._numbers[carrier]}::{type_}"


class PartSql:
    """The text of one part."""

    def __init__(self, n: int, part: Part, parameters: Parameters, sql: SqlDialect) -> None:
        self._n, self._part, self._parameters = n, part, parameters
        self._quote: Callable[[str], str] = sql.identifier_preparer.quote
        self._into = sql.identifier_preparer.format_table(part.table)
        self._table = f"{self._into} AS {STORED}"
        self._many = len(part.rows) > 1
        # In a SELECT list the arrays are read in step, and a shorter one is filled up with NULL (see `_value`). In FROM
        # each would be stored first: a tenth of the server's work for an order.
        self._source = ""
        if self._many:
            arrays = [(self._quote(name), parameters.of(n, part.table, name, True)) for name in part.names]
            self._source = f"(SELECT {', '.join(f'unnest({array}) AS {name}' for name, array in arrays)}) AS {GIVEN}"

    def check(self, unchanged: str) -> str:
        """Lock the rows in the order of the arrays, if the checks before found theirs, and compare each one.

        A row is compared as it is once it is locked, whoever changed it while this statement waited.
        """
        same = [f"{self._column(name)} IS NOT DISTINCT FROM {self._value(name)}" for name in self._rest()]
        found = f"{self._source} JOIN {self._table} ON {self._key()}" if self._many else self._table
        conditions = _where([unchanged] if self._many else [self._key(), unchanged])
        return f"SELECT {' AND '.join(same)} AS same FROM {found}{conditions} FOR NO KEY UPDATE OF {STORED}"  # noqa: S608 - names of our own tables, and parameters

    def write(self, condition: str) -> str:
        """Insert, delete or update, under this condition."""
        part, table = self._part, self._table
        if part.kind == "delete":
            using = f" USING {self._source}" if self._many else ""
            return f"DELETE FROM {table}{using}{_where([self._all(part.names), condition])}"  # noqa: S608 - as above
        source = f" FROM {self._source}" if self._many else ""
        if part.kind == "update":
            changes = ", ".join(f"{self._quote(name)} = {self._value(name)}" for name in self._rest())
            return f"UPDATE {table} SET {changes}{source}{_where([self._key(), condition])}"  # noqa: S608 - as above
        into = f"{self._into} ({', '.join(map(self._quote, part.names))})"
        values = ", ".join(map(self._value, part.names))
        skip = " ON CONFLICT DO NOTHING" if part.kind == "insert missing" else ""
        return f"INSERT INTO {into} SELECT {values}{source}{_where([condition])}{skip}"

    def _rest(self) -> list[str]:
        return [name for name in self._part.names if not name.endswith("_")]

    def _key(self) -> str:
        return self._all([name for name in self._part.names if name.endswith("_")])

    def _all(self, names: Sequence[str]) -> str:
        return " AND ".join(f"{self._column(name)} = {self._value(name)}" for name in names)

    def _column(self, name: str) -> str:
        return f"{STORED}.{self._quote(name.removesuffix('_'))}"

    def _value(self, name: str) -> str:
        parameter = self._parameters.of(self._n, self._part.table, name, self._many)
        if not self._many:
            return parameter
        column = f"{GIVEN}.{self._quote(name)}"
        if name in complete_columns(self._part.table, self._part.names):
            return column
        return f"coalesce({column}, ({parameter})[1])"


def _where(conditions: Sequence[str]) -> str:
    present = " AND ".join(condition for condition in conditions if condition)
    return f" WHERE {present}" if present else ""


def count_parameter(n: int) -> str:
    """The parameter with the number of rows of a check; no column's parameter has such a name."""
    return f"n{n}"


@lru_cache(maxsize=1024)
def complete_columns(table: Table, names: Sequence[str]) -> frozenset[str]:
    """Columns whose arrays have a value for every row: the first, which gives the number of rows, and those in which
    NULL is a value."""
    return frozenset(name for n, name in enumerate(names) if n == 0 or table.c[name.removesuffix("_")].nullable)


def type_of(table: Table, name: str) -> Any:
    """The type of a column's parameter."""
    return without_length(table.c[name.removesuffix("_")].type)


def without_length(type_: Any) -> Any:
    """The type for a cast: one to VARCHAR(n) would cut a longer text without an error, which its column refuses."""
    return Text() if isinstance(type_, String) else type_


def _type_name(sql: SqlDialect, type_: Any) -> str:
    return str(type_.compile(dialect=sql))
