"""The tables of a simulated database: records with their versions in time, and the rules that a table checks.

Neighbour: `server.py` reads and writes them.
"""

import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

from sqlalchemy import CheckConstraint, Integer, Table, UniqueConstraint

Record: TypeAlias = dict[str, Any]
PrimaryKey: TypeAlias = tuple[Any, ...]
Place: TypeAlias = tuple[str, PrimaryKey]  # a record, or a value of a unique constraint: what is locked

_COMPARE: Final[Mapping[str, Callable[[Any, Any], bool]]] = {">=": operator.ge, "<=": operator.le, ">": operator.gt}


class Schema:
    """What a table checks; equal for all runs, so made once.

    Args:
        table: as the application defines it.

    Attributes:
        name: of the table.
        columns: of the primary key.
        unique: further unique keys, by the name of their constraint.
        defaults: of columns that have one in the database.
        checks: CHECK constraints as comparisons.
        serial: the column that counts the records; None: there is none.
    """

    def __init__(self, table: Table) -> None:
        self.name = table.name
        self.columns = tuple(column.name for column in table.primary_key)
        self.unique = {
            f"{table.name}.{'.'.join(each.columns.keys())}": tuple(each.columns.keys())
            for each in table.constraints
            if isinstance(each, UniqueConstraint)
        }
        self.defaults = dict(_defaults(table))
        self.checks = [
            rule
            for each in table.constraints
            if isinstance(each, CheckConstraint)
            for rule in _rules(str(each.sqltext))
        ]
        serial = table.autoincrement_column
        self.serial = serial.name if serial is not None and serial.name == "id" else None


class SimulatedTable:
    """One table.

    Args:
        schema: what it checks.

    Attributes:
        versions: by primary key, every committed record with the number of its commit, oldest first; None: deleted.
        taken: the values of the unique keys that are taken.
    """

    def __init__(self, schema: Schema) -> None:
        self.name, self.columns, self.unique = schema.name, schema.columns, schema.unique
        self.versions: dict[PrimaryKey, list[tuple[int, Record | None]]] = {}
        self.taken: dict[Place, PrimaryKey] = {}
        self._schema = schema
        self._next_serial = 1

    def complete(self, values: Mapping[str, Any]) -> Record:
        """A whole record: with the defaults of the table, and the next number where it counts its records."""
        record = {**self._schema.defaults, **values}
        if self._schema.serial is not None:
            record[self._schema.serial] = self._next_serial  # never given back, as in a sequence
            self._next_serial += 1
        return record

    def broken_check(self, record: Record) -> str:
        """The CHECK constraint that a record violates; empty if none."""
        for name, compare, other in self._schema.checks:
            if not compare(record[name], other if isinstance(other, int) else record[other]):
                return f"{name} against {other}"
        return ""

    def key_of(self, record: Mapping[str, Any]) -> PrimaryKey:
        """The primary key of a record."""
        return tuple([record[name] for name in self.columns])

    def latest(self, key: PrimaryKey) -> Record | None:
        """The newest committed record."""
        found = self.versions.get(key)
        return found[-1][1] if found else None

    def at(self, key: PrimaryKey, commit: int) -> Record | None:
        """The record as of a commit."""
        for number, record in reversed(self.versions.get(key, ())):
            if number <= commit:
                return record
        return None

    def newest_commit(self, key: PrimaryKey) -> int:
        """The number of the commit that wrote the record last; 0 if there was none."""
        found = self.versions.get(key)
        return found[-1][0] if found else 0

    def records(self) -> Iterable[Record]:
        """Every record that is committed, in the order of the first commit of each."""
        return [found[-1][1] for found in self.versions.values() if found[-1][1] is not None]


def _defaults(table: Table) -> Iterable[tuple[str, Any]]:
    for column in table.columns:
        default = getattr(column.server_default, "arg", None)
        if default is not None:
            yield column.name, int(str(default)) if isinstance(column.type, Integer) else str(default)


def _rules(text: str) -> Iterable[tuple[str, Callable[[Any, Any], bool], int | str]]:
    """`a >= 0 AND a <= b` as comparisons.

    Raises:
        ValueError: a rule of another form.
    """
    for part in text.split(" AND "):
        words = part.split()
        if len(words) != 3 or words[1] not in _COMPARE:
            raise ValueError(f"the simulated database does not know this CHECK constraint: {text}")
        yield words[0], _COMPARE[words[1]], int(words[2]) if words[2].isdigit() else words[2]
