"""The text of a write: `WITH` a part for each table, checks first, `SELECT 1`.

Spelled here and not by SQLAlchemy's compiler, which takes 10 to 20 ms of the event loop for a statement of this size,
at the first batch of every new shape; this takes a fifth of one. Names are quoted and types named by SQLAlchemy's
dialect; every value is a parameter. Neighbour: `writes` says what the parts are, and which parameters carry them.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import String, Table, Text
from sqlalchemy.engine import Dialect as SqlDialect

from stockade.store.engine.dialect import Spelled, Values

HELD = "stockade_held"  # a row if every check was right; no table of a shop has such a name
GIVEN, STORED = "given", "stored"  # the rows of the arrays, and those of the table


class Part(NamedTuple):
    """Rows to `check`, `insert`, `open`, `delete` or `update` in one table; each has the columns of the first.

    To open is to insert what is not there. Of a check or an update, columns whose names end with `_` are the key.
    """

    kind: str
    table: Table
    names: tuple[str, ...]
    rows: Sequence[Values]

    @property
    def shape(self) -> tuple[str, str, tuple[str, ...], bool]:
        """What the part's statement depends on."""
        return self.kind, self.table.fullname, self.names, len(self.rows) == 1


def spell(parts: Sequence[Part], read_as: Mapping[str, str], sql: SqlDialect) -> Spelled:
    """One statement for all parts. It returns a row if every check found what it should; without checks, always.

    Args:
        parts: checks before all others.
        read_as: parameter -> the one that carries its values.
        sql: names columns and types.
    """
    parameters = Parameters(read_as, sql)
    ctes: list[str] = []
    right = held = ""  # the condition so far; the one for all other parts
    for n, part in enumerate(parts):
        one = One(n, part, parameters, sql)
        if part.kind == "check":
            ctes.append(f"stockade_w{n} AS ({one.check(right)})")
            right = f"(SELECT count(*) FROM stockade_w{n} WHERE same) = {parameters.count(n)}"  # noqa: S608 - as below
        else:
            if right and not held:
                ctes.append(f"{HELD} AS (SELECT 1 WHERE {right})")
                held = f"EXISTS (SELECT 1 FROM {HELD})"  # noqa: S608 - as below
            ctes.append(f"stockade_w{n} AS ({one.write(held)})")
    text = f"WITH {', '.join(ctes)} SELECT 1{f' WHERE {held or right}' if right else ''}"
    return Spelled(text, tuple(parameters.names))


class Parameters:
    """Numbers the parameters in the order in which they are first named."""

    def __init__(self, read_as: Mapping[str, str], sql: SqlDialect) -> None:
        self.names: list[str] = []
        self._read_as, self._sql = read_as, sql
        self._numbers: dict[str, int] = {}

    def of(self, n: int, table: Table, name: str, many: bool) -> str:
        """The value of a column of part `n`, or the array of its values."""
        return self._cast(f"p{n}_{name}", _type_name(self._sql, type_of(table, name)) + ("[]" if many else ""))

    def count(self, n: int) -> str:
        """How many rows a check has."""
        return self._cast(count_of(n), "BIGINT")

    def _cast(self, parameter: str, type_: str) -> str:
        carrier = self._read_as.get(parameter, parameter)
        if carrier not in self._numbers:
            self.names.append(carrier)
            self._numbers[carrier] = len(self.names)
        return f"${self._numbers[carrier]}::{type_}"


class One:
    """The text of one part."""

    def __init__(self, n: int, part: Part, parameters: Parameters, sql: SqlDialect) -> None:
        self._n, self._part, self._parameters = n, part, parameters
        self._quote: Callable[[str], str] = sql.identifier_preparer.quote
        self._into = sql.identifier_preparer.format_table(part.table)
        self._table = f"{self._into} AS {STORED}"
        self._many = len(part.rows) > 1
        # Side by side in a SELECT list they are read in step, the shorter filled up with NULL: there it is the array's
        # first value. In FROM each would first be stored and then be read: a tenth of the server's work for an order.
        self._source = ""
        if self._many:
            arrays = [(self._quote(name), parameters.of(n, part.table, name, True)) for name in part.names]
            self._source = f"(SELECT {', '.join(f'unnest({array}) AS {name}' for name, array in arrays)}) AS {GIVEN}"

    def check(self, right: str) -> str:
        """Lock the rows in the order of the arrays, if all before was `right`, and tell of each if it is as assumed.

        What it tells is of the row as it is once it is locked, whoever changed it while this statement waited.
        """
        same = [f"{self._column(name)} IS NOT DISTINCT FROM {self._value(name)}" for name in self._rest()]
        found = f"{self._source} JOIN {self._table} ON {self._key()}" if self._many else self._table
        conditions = _where([right] if self._many else [self._key(), right])
        return f"SELECT {' AND '.join(same)} AS same FROM {found}{conditions} FOR NO KEY UPDATE OF {STORED}"  # noqa: S608 - names of our own tables, and parameters

    def write(self, held: str) -> str:
        """Insert, open, delete or update, if `held`."""
        part, table = self._part, self._table
        if part.kind == "delete":
            using = f" USING {self._source}" if self._many else ""
            return f"DELETE FROM {table}{using}{_where([self._all(part.names), held])}"  # noqa: S608 - as above
        source = f" FROM {self._source}" if self._many else ""
        if part.kind == "update":
            moves = ", ".join(f"{self._quote(name)} = {self._value(name)}" for name in self._rest())
            return f"UPDATE {table} SET {moves}{source}{_where([self._key(), held])}"  # noqa: S608 - as above
        into = f"{self._into} ({', '.join(map(self._quote, part.names))})"
        values = ", ".join(map(self._value, part.names))
        skip = " ON CONFLICT DO NOTHING" if part.kind == "open" else ""
        return f"INSERT INTO {into} SELECT {values}{source}{_where([held])}{skip}"

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
        if name in entire(self._part.table, self._part.names):
            return column
        return f"coalesce({column}, ({parameter})[1])"


def _where(conditions: Sequence[str]) -> str:
    given = " AND ".join(condition for condition in conditions if condition)
    return f" WHERE {given}" if given else ""


def count_of(n: int) -> str:
    """The parameter of a check that tells how many rows it has: no name of a column's parameter begins so."""
    return f"n{n}"


@lru_cache(maxsize=1024)
def entire(table: Table, names: Sequence[str]) -> frozenset[str]:
    """Columns whose arrays have a value for every row: the first, which tells how many rows there are, and those in
    which NULL is a value."""
    return frozenset(name for n, name in enumerate(names) if n == 0 or table.c[name.removesuffix("_")].nullable)


def type_of(table: Table, name: str) -> Any:
    """The type of a column's parameter."""
    return whole(table.c[name.removesuffix("_")].type)


def whole(type_: Any) -> Any:
    """A cast to VARCHAR(n) cuts without a word; as TEXT, what is too long is refused by its column."""
    return Text() if isinstance(type_, String) else type_


def _type_name(sql: SqlDialect, type_: Any) -> str:
    return str(type_.compile(dialect=sql))
