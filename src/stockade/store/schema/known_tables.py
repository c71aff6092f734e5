"""The tables that a store writes, and what a record needs to fit into one of them.

A record that does not fit is refused before its batch is written, on every database alike: else it, or a part of it,
would be lost without a word. Each shape of a record is examined once; a batch asks for those that it has.
Neighbours: `fold` asks, `transact` makes it.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Date,
    DateTime,
    Enum,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Time,
)

from stockade.store.schema import tables as own
from stockade.store.schema.resource import Resource

MAX_SHAPES = 1_000  # remembered; far more than the shapes that commands have
_STORES_OWN = frozenset(own.metadata.tables) - {own.inbox.name}  # consumers write into the inbox
_SET_BY_STORE = frozenset({"version", "stamp"})

_PLAIN = frozenset({type(None), bool, int, float, str, bytes})  # exactly: asyncmy writes others as their `str()`
_PLAIN_TOO = (date, time, timedelta, Decimal)
_PLAIN_COLUMNS = (String, Integer, Numeric, LargeBinary, Boolean, Date, DateTime, Time)

Record = Mapping[str, Any]


class Unfit(ValueError):
    """What a batch decided cannot be written. Its commands are carried out one by one, so that only one is refused."""


class KnownTables:
    """The tables of a store.

    Args:
        metadata: that hold them; of two tables with one name the later one counts.
        resources: whose tables they must hold.

    Raises:
        ValueError: two tables that the store needs have one name.
    """

    def __init__(self, metadata: Sequence[MetaData], resources: Iterable[Resource]) -> None:
        self._tables = {table.name: table for each in metadata for table in each.tables.values()}
        needed = [own.metadata.tables[name] for name in _STORES_OWN] + [resource.table for resource in resources]
        taken = [table.name for table in needed if self._tables.get(table.name) is not table]
        if taken:
            raise ValueError(f"two tables are named {', '.join(sorted(taken))}: give yours other names")
        self.versioned = frozenset(name for name, table in self._tables.items() if "version" in table.c) - _STORES_OWN
        self._examined: set[tuple[str, str, tuple[str, ...]]] = set()

    def check_inserts(self, inserts: Mapping[str, Sequence[Record]], doing: str = "inserts into") -> None:
        """Refuse new records that do not fit, and those that no one statement can write.

        Args:
            inserts: by table, with the versions that the store has set.
            doing: the store's word for it.

        Raises:
            Unfit: the message names the table and says what is wrong.
        """
        for table, rows in inserts.items():
            shapes = set(map(tuple, rows))
            for names in shapes:
                self._examine(doing, table, names)
            for row in rows:
                if not _PLAIN.issuperset(map(type, row.values())):
                    self._check_values(doing, table, row)
            if len(shapes) > 1 and len(set(map(frozenset, shapes))) > 1:
                raise Unfit(f"{doing} {table} records that do not have the same columns")

    def check_overwrites(self, overwrites: Sequence[tuple[str, Record, bool]]) -> None:
        """Refuse records that cannot take the place of others, and deletions by anything but a primary key.

        Args:
            overwrites: the table, the record, and whether it stays or only makes the other one go.

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
            self._examine("deletes from", table, tuple(names))
        if replaced:
            self.check_inserts(replaced, "replaces in")

    def _check_values(self, doing: str, name: str, row: Record) -> None:
        """Refuse a value that some drivers would write as the text of its `str()`."""
        for column, value in row.items():
            if isinstance(value, _PLAIN_TOO) or type(value) in _PLAIN or not _is_plain(self._tables[name].c[column]):
                continue
            kind = type(value).__name__
            raise Unfit(f"{doing} {name} a {kind} as {column}: give a value of a plain type, e.g. a text or an int")

    def _examine(self, doing: str, name: str, names: tuple[str, ...]) -> None:
        shape = (doing, name, names)
        if shape in self._examined:
            return
        wrong = self._problem(doing, name, names)
        if wrong:
            raise Unfit(f"{doing} {wrong}")
        if len(self._examined) >= MAX_SHAPES:
            self._examined.clear()
        self._examined.add(shape)

    def _problem(self, doing: str, name: str, names: tuple[str, ...]) -> str:
        """What is wrong with records of these columns; empty for nothing."""
        table = self._tables.get(name)
        if table is None:
            known = ", ".join(sorted(self._tables.keys() - _STORES_OWN))
            return (
                f"{name!r}, a table that this store does not know: {known}, and those in the MetaData of a resource's"
            )
        if name in _STORES_OWN:
            return f"{name}, which only the store itself writes"
        if unknown := [each for each in names if each not in table.c]:
            return f"{name} by {_listed(unknown)}, of which it has no column"
        key = {column.name for column in table.primary_key}
        if doing == "deletes from":
            return "" if key and key == set(names) else f"{name} by {_listed(names)}, not by its key {_listed(key)}"
        if doing == "replaces in" and (name in self.versioned or not key):
            return f"{name}, whose rows {'are changed by their keys only' if key else 'have no primary key'}"
        needed = [c.name for c in table.c if _is_required(c) or (doing == "replaces in" and c.name in key)]
        missing = [each for each in needed if each not in names]
        return f"{name} without {_listed(missing)}" if missing else ""


def _is_plain(column: Column[Any]) -> bool:
    """Whether its values go to the driver as they are: those of JSON, an Enum or an own type SQLAlchemy makes."""
    return isinstance(column.type, _PLAIN_COLUMNS) and not isinstance(column.type, Enum)


def _is_required(column: Column[Any]) -> bool:
    """Whether the database has no value of its own; a default that only SQLAlchemy knows is none."""
    if column.default is not None:
        return True
    return not column.nullable and column.server_default is None and column.table.autoincrement_column is not column


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(str, names)) or "nothing"
