"""All writes of a batch as one PostgreSQL statement: a data-modifying CTE for each part.

It can begin with checks: they lock rows, one table after the other and each in the order of its rows, and compare them
with what the batch was decided on; if one is another, no part writes anything.

A part with one row sends plain parameters, as most commands on their own have it. A part with many sends an array for
each column; where all rows share a value that value alone, and where two columns are equal their array once: two thirds
of all values in a batch of orders. PostgreSQL runs the parts in no promised order: rows may be updated this way only
because the transaction holds them already, or because a check of the same statement does. Neighbours: `ctes` spells it,
`postgres` sends it.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Table
from sqlalchemy.engine import Dialect as SqlDialect

from stockade.store.engine.dialect import Spelled, Values
from stockade.store.transaction.single_statement.ctes import Part, count_of, entire, spell, type_of

MANY = 16  # rows from which on equal columns are looked for: fewer are equal by chance, and every case is a statement


class Writing:
    """The parts of one write, and the values that its parameters take.

    Attributes:
        shape: writes of one shape are sent by one statement.
        values: by parameter.
    """

    __slots__ = ("_parts", "_read_as", "shape", "values")

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._read_as: dict[str, str] = {}  # parameter -> the one that carries its values
        self.values: dict[str, Any] = {}
        sent: dict[type, list[tuple[str, list[Any]]]] = {}
        for n, (kind, table, names, rows) in enumerate(parts):
            if kind == "check":
                self.values[count_of(n)] = len(rows)
            if len(rows) == 1:
                self.values.update((f"p{n}_{name}", value) for name, value in rows[0].items())
            else:
                self._add_arrays(n, table, names, rows, sent)
        self.shape = ("write", *(part.shape for part in parts), *self._read_as.items())

    def _add_arrays(
        self, n: int, table: Table, names: tuple[str, ...], rows: Sequence[Values], sent: dict[type, Any]
    ) -> None:
        whole = entire(table, names)
        for name in names:
            array, parameter = [row[name] for row in rows], f"p{n}_{name}"
            if name not in whole and array[0] == array[-1] and array.count(array[0]) == len(array):
                self.values[parameter] = array[:1]
                continue
            others = sent.setdefault(type(type_of(table, name)), []) if len(rows) >= MANY else []
            equal = next((other for other, known in others if known == array), None)
            if equal is None:
                self.values[parameter] = array
                others.append((parameter, array))
            else:
                self._read_as[parameter] = equal

    def statement(self, sql: SqlDialect) -> Spelled:
        """See `ctes.spell`."""
        return spell(self._parts, self._read_as, sql)
