"""All writes of a batch as one PostgreSQL statement: a data-modifying CTE for each part.

The statement can begin with checks. They lock rows, one table after the other and each in the order of its rows, and
compare them with the expected ones; if one differs, no part writes anything.

A part with one row sends plain parameters. A part with many rows sends an array for each column: a value that all rows
share is sent once, and so are two equal columns. That saves two thirds of all values in a batch of orders.

PostgreSQL runs the parts in no promised order. So rows may be updated this way only if the transaction has locked them
already, or if a check of the same statement locks them. Neighbours: `ctes` renders the text, `dialect` sends it.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Table
from sqlalchemy.engine import Dialect as SqlDialect

from stockade.store.engine.statement import CompiledSql, Values
from stockade.store.postgres.ctes import Part, complete_columns, count_parameter, render, type_of

MIN_ROWS_TO_COMPARE = 16  # with fewer rows columns are equal by chance, and every combination is another statement


class BatchStatement:
    """One statement: its parts, and the values of its parameters.

    Attributes:
        shape: batches of one shape have the same text.
        values: by parameter.
    """

    __slots__ = ("_parts", "_same_as", "shape", "values")

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._same_as: dict[str, str] = {}  # parameter -> the parameter that has equal values
        self.values: dict[str, Any] = {}
        sent: dict[type, list[tuple[str, list[Any]]]] = {}
        for n, (kind, table, names, rows) in enumerate(parts):
            if kind == "check":
                self.values[count_parameter(n)] = len(rows)
            if len(rows) == 1:
                self.values.update((f"p{n}_{name}", value) for name, value in rows[0].items())
            else:
                self._add_arrays(n, table, names, rows, sent)
        self.shape = ("write", *(part.shape for part in parts), *self._same_as.items())

    def _add_arrays(
        self, n: int, table: Table, names: tuple[str, ...], rows: Sequence[Values], sent: dict[type, Any]
    ) -> None:
        complete = complete_columns(table, names)
        for name in names:
            array, parameter = [row[name] for row in rows], f"p{n}_{name}"
            if name not in complete and array[0] == array[-1] and array.count(array[0]) == len(array):
                self.values[parameter] = array[:1]
                continue
            others = sent.setdefault(type(type_of(table, name)), []) if len(rows) >= MIN_ROWS_TO_COMPARE else []
            equal = next((other for other, known in others if known == array), None)
            if equal is None:
                self.values[parameter] = array
                others.append((parameter, array))
            else:
                self._same_as[parameter] = equal

    def render(self, sql: SqlDialect) -> CompiledSql:
        """See `ctes.render`."""
        return render(self._parts, self._same_as, sql)
