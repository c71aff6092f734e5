"""The tables that a store writes, and the checks of records before they are inserted.

The store refuses a record that does not fit its table before the batch is written. Otherwise some databases would store
a part of it without an error. Each shape of a record (its table and columns) is checked once.
Neighbours: `transaction.decide` calls the checks, `transaction.transact` makes the object.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Any

from sqlalchemy import Boolean, Column, Date, DateTime, Integer, LargeBinary, MetaData, Numeric, String, Table, Time
from sqlalchemy import Enum as EnumColumn

from stockade.store.schema.resource import Resource
from stockade.store.schema.tables import DEFAULT, StoreTables

MAX_SHAPES = 1_000  # in the cache; commands have far fewer

_PLAIN = frozenset({type(None), bool, int, float, str, bytes})  # exactly: asyncmy writes others as their `str()`
_PLAIN_TOO = (date, time, timedelta, Decimal)
_PLAIN_COLUMNS = (String, Integer, Numeric, LargeBinary, Boolean, Date, DateTime, Time)

Record = Mapping[str, Any]


class Unfit(ValueError):
    """A record of a batch cannot be written. The store then runs the commands one by one, so that only one is
    refused."""


class _Write(Enum):
    """What is done with a record, which decides the rules for it; the value is the verb of messages."""

    INSERT = "inserts into"
    REPLACE = "replaces in"
    DELETE = "deletes from"


class KnownTables:
    """The tables of a store, and those that commands write.

    Args:
        metadata: the tables of commands; of two tables with one name the later one counts.
        resources: their tables must be in `metadata`.
        own: the store's own tables. Commands write none of them but the inbox.

    Attributes:
        in_order: the tables that commands write, each after those that it refers to.
        versioned: the names of those whose rows have versions.
        primary_keys: of each of those: the names of the columns.

    Raises:
        ValueError: two tables that the store needs have one name.
    """

    def __init__(self, metadata: Iterable[MetaData], resources: Iterable[Resource], own: StoreTables = DEFAULT) -> None:
        theirs = [table for each in metadata if each is not own.metadata for table in each.sorted_tables]
        both = sorted(table.fullname for table in theirs if table.key in own.metadata.tables)
        if both:
            raise ValueError(
                f"two tables are named {', '.join(both)}, yours and the store's: give the store's tables a prefix, "
                "Database.open(url, tables=StoreTables(prefix='stockade_')), or yours other names"
            )
        self._tables: dict[str, Table] = {own.inbox.name: own.inbox, **{table.name: table for table in theirs}}
        taken = sorted(each.table.name for each in resources if self._tables.get(each.table.name) is not each.table)
        if taken:
            raise ValueError(f"two tables are named {', '.join(taken)}: give one of them another name")
        self.in_order = list(self._tables.values())
        self._stores_own = own.names - self._tables.keys()
        self.versioned = frozenset(name for name, table in self._tables.items() if "version" in table.c)
        self.primary_keys = {
            name: [column.name for column in table.primary_key] for name, table in self._tables.items()
        }
        self._examined: set[tuple[_Write, str, tuple[str, ...]]] = set()

    def check_inserts(self, inserts: Mapping[str, Sequence[Record]]) -> None:
        """Refuse records that do not fit, and records of one table that do not have the same columns.

        Args:
            inserts: by table, with the versions that the store has set.

        Raises:
            Unfit: the message names the table and says what is wrong.
        """
        self._check_records(_Write.INSERT, inserts)

    def check_overwrites(self, overwrites: Sequence[tuple[str, Record, bool]]) -> None:
        """Refuse replacing records that do not fit, deletions that do not name a primary key, and both of guarded rows.

        Args:
            overwrites: the table, the record, and whether the record replaces another one (True) or deletes it (False).

        Raises:
            Unfit: as `check_inserts`.
        """
        replaced: dict[str, list[Record]] = {}
        deleted = set()
        for table, values, stays in overwrites:
            if stays:
                replaced.setdefault(table, []).append(values)
            else:
                deleted.add((table, *values))
        for table, *names in deleted:
            self._examine(_Write.DELETE, table, tuple(names))
        if replaced:
            self._check_records(_Write.REPLACE, replaced)

    def _check_records(self, write: _Write, records: Mapping[str, Sequence[Record]]) -> None:
        for table, rows in records.items():
            shapes = set(map(tuple, rows))
            for names in shapes:
                self._examine(write, table, names)
            for row in rows:
                if not _PLAIN.issuperset(map(type, row.values())):
                    self._check_values(write, table, row)
            if len(shapes) > 1 and len(set(map(frozenset, shapes))) > 1:
                raise Unfit(f"{write.value} {table} records that do not have the same columns")

    def _check_values(self, write: _Write, name: str, row: Record) -> None:
        """Refuse a value that some drivers would write as its `str()`."""
        for column, value in row.items():
            if isinstance(value, _PLAIN_TOO) or type(value) in _PLAIN or not _is_plain(self._tables[name].c[column]):
                continue
            kind = type(value).__name__
            raise Unfit(
                f"{write.value} {name} a {kind} as {column}: give a value of a plain type, e.g. a text or an int"
            )

    def _examine(self, write: _Write, name: str, names: tuple[str, ...]) -> None:
        shape = (write, name, names)
        if shape in self._examined:
            return
        wrong = self._problem(write, name, names)
        if wrong:
            raise Unfit(f"{write.value} {wrong}")
        if len(self._examined) >= MAX_SHAPES:
            self._examined.clear()
        self._examined.add(shape)

    def _problem(self, write: _Write, name: str, names: tuple[str, ...]) -> str:
        """What is wrong with records of these columns; empty if nothing is."""
        if name in self._stores_own:
            return f"{name}, which only the store itself writes"
        table = self._tables.get(name)
        if table is None:
            known = ", ".join(sorted(self._tables))
            return (
                f"{name!r}, a table that this store does not know: {known}, and those in the MetaData of a resource's"
            )
        if unknown := [each for each in names if each not in table.c]:
            return f"{name} by {_listed(unknown)}, of which it has no column"
        key = {column.name for column in table.primary_key}
        if write is _Write.DELETE and name in self.versioned:
            return f"{name}, whose rows have versions and ledger entries: change a column of its state instead"
        if write is _Write.DELETE:
            return "" if key and key == set(names) else f"{name} by {_listed(names)}, not by its key {_listed(key)}"
        if write is _Write.REPLACE and (name in self.versioned or not key):
            return f"{name}, whose rows {'are changed by their keys only' if key else 'have no primary key'}"
        needed = [c.name for c in table.c if _is_required(c) or (write is _Write.REPLACE and c.name in key)]
        missing = [each for each in needed if each not in names]
        return f"{name} without {_listed(missing)}" if missing else ""


def known_tables(resources: Sequence[Resource], own: StoreTables) -> KnownTables:
    """The tables of a store; one object for all stores of a process over the same tables.

    To sort the tables takes a millisecond, which a simulator would spend in each of its processes.

    Args:
        resources: of the store; commands write the tables in the MetaData of these.
        own: the store's own tables.

    Raises:
        ValueError: as `KnownTables`.
    """
    metadata = tuple(dict.fromkeys(each.table.metadata for each in resources))
    present = tuple([table for each in (*metadata, own.metadata) for table in each.tables.values()])
    return _known_tables(metadata, tuple(resources), own, present)


@lru_cache(maxsize=16)
def _known_tables(
    metadata: tuple[MetaData, ...], resources: tuple[Resource, ...], own: StoreTables, present: tuple[Table, ...]
) -> KnownTables:
    """`present` is part of the key only: a table that was added meanwhile makes another object."""
    return KnownTables(metadata, resources, own)


def _is_plain(column: Column[Any]) -> bool:
    """Whether the driver receives the values unchanged; SQLAlchemy converts those of JSON, Enum and own types."""
    return isinstance(column.type, _PLAIN_COLUMNS) and not isinstance(column.type, EnumColumn)


def _is_required(column: Column[Any]) -> bool:
    """Whether every INSERT must have a value: the database has no default; a default in SQLAlchemy alone does not
    count."""
    if column.default is not None:
        return True
    return not column.nullable and column.server_default is None and column.table.autoincrement_column is not column


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(str, names)) or "nothing"
