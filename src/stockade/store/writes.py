"""All writes of a batch as one PostgreSQL statement: a data-modifying CTE for each part.

A part with one row sends plain parameters, as most commands on their own have it. A part with many sends an array for
each column; where all rows share a value that value alone, and where two columns are equal their array once: two thirds
of all values in a batch of orders. PostgreSQL runs the parts in no promised order: rows may be updated this way only
because the transaction holds them already. Neighbour: `postgres` sends it.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import (
    ARRAY,
    String,
    Table,
    Text,
    and_,
    bindparam,
    column,
    delete,
    exists,
    func,
    insert,
    literal_column,
    select,
    update,
)

from stockade.store.dialect import Values

MANY = 16  # rows from which on equal columns are looked for: fewer are equal by chance, and every case is a statement
WAS = "was_"  # how the values of a gate are named that its row must have
_FIRST: Any = literal_column("1")  # arrays of PostgreSQL begin at 1


class Part(NamedTuple):
    """Rows to `insert`, `delete` or `update` in one table; each has the columns of the first.

    A `gate` updates one row that is as its values `was_…` say; if it is another, no part writes anything.
    """

    kind: str
    table: Table
    names: tuple[str, ...]
    rows: Sequence[Values]

    @property
    def shape(self) -> tuple[str, str, tuple[str, ...], bool]:
        """What the part's statement depends on."""
        return self.kind, self.table.name, self.names, len(self.rows) == 1


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
        for n, (_, table, names, rows) in enumerate(parts):
            if len(rows) == 1:
                self.values.update((f"p{n}_{name}", value) for name, value in rows[0].items())
            else:
                self._add_arrays(n, table, names, rows, sent)
        self.shape = ("write", *(part.shape for part in parts), *self._read_as.items())

    def _add_arrays(
        self, n: int, table: Table, names: tuple[str, ...], rows: Sequence[Values], sent: dict[type, Any]
    ) -> None:
        entire = _entire(table, names)
        for name in names:
            array, parameter = [row[name] for row in rows], f"p{n}_{name}"
            if name not in entire and array.count(array[0]) == len(array):
                self.values[parameter] = array[:1]
                continue
            others = sent.setdefault(type(_type(table, name)), []) if len(rows) >= MANY else []
            equal = next((other for other, known in others if known == array), None)
            if equal is None:
                self.values[parameter] = array
                others.append((parameter, array))
            else:
                self._read_as[parameter] = equal

    def statement(self) -> Any:
        """One statement for all parts; behind a gate it returns a row if that was open."""
        first, *others = self._parts
        gated = first.kind == "gate"
        head = (_gate(first) if gated else _one(0, first, self._read_as, None)).cte("w0")
        held = exists(select(literal_column("1")).select_from(head)) if gated else None
        ctes = [_one(n, part, self._read_as, held).cte(f"w{n}") for n, part in enumerate(others, 1)]
        answer: Any = select(literal_column("1"))
        return (answer.select_from(head) if gated else answer.add_cte(head)).add_cte(*ctes)


def arrays(n: int, table: Table, names: Sequence[str], read_as: Mapping[str, str] | None = None) -> Any:
    """`unnest` over an array parameter for each column, as rows."""
    columns = [column(name, _type(table, name)) for name in names]
    parameters = [_array(n, each.name, each.type, read_as or {}) for each in columns]
    return func.unnest(*parameters).table_valued(*columns).render_derived(f"a{n}")


def _array(n: int, name: str, type_: Any, read_as: Mapping[str, str]) -> Any:
    parameter = f"p{n}_{name}"
    return bindparam(read_as.get(parameter, parameter), type_=ARRAY(type_))


def _gate(part: Part) -> Any:
    table = part.table
    values = {name: bindparam(f"p0_{name}", type_=_type(table, name)) for name in part.names}
    same = [
        table.c[name.removeprefix(WAS)].is_not_distinct_from(values.pop(name))
        for name in part.names
        if name.startswith(WAS)
    ]
    return update(table).where(table.c.id == values.pop("id_"), *same).values(values).returning(literal_column("1"))


def _one(n: int, part: Part, read_as: Mapping[str, str], held: Any) -> Any:
    kind, table, names, rows = part
    many = arrays(n, table, names, read_as) if len(rows) > 1 else None
    values = {name: _value(n, part, name, many, read_as) for name in names}
    also = () if held is None else (held,)
    if kind == "insert" and (many is not None or also):
        rows_ = select(*values.values()).where(*also)
        return insert(table).from_select(list(names), rows_, include_defaults=False)
    if kind == "insert":
        return insert(table).values(values)
    if kind == "delete":
        return delete(table).where(and_(*(table.c[name] == value for name, value in values.items()), *also))
    id_ = values.pop("id_")
    return update(table).where(table.c.id == id_, *also).values(values)


def _value(n: int, part: Part, name: str, many: Any, read_as: Mapping[str, str]) -> Any:
    """A column of a part. `unnest` fills shorter arrays up with NULL: there it is the array's first value."""
    type_ = _type(part.table, name)
    if many is None:
        return bindparam(f"p{n}_{name}", type_=type_)
    if name in _entire(part.table, part.names):
        return many.c[name]
    # the inner coalesce only makes SQLAlchemy put brackets around the parameter
    array: Any = func.coalesce(_array(n, name, type_, read_as), type_=ARRAY(type_))
    return func.coalesce(many.c[name], array[_FIRST])


@lru_cache(maxsize=1024)
def _entire(table: Table, names: Sequence[str]) -> frozenset[str]:
    """Columns whose arrays have a value for every row: the first, which tells how many rows there are, and those in
    which NULL is a value."""
    return frozenset(name for n, name in enumerate(names) if n == 0 or table.c[name.removesuffix("_")].nullable)


def _type(table: Table, name: str) -> Any:
    return whole(table.c[name.removesuffix("_").removeprefix(WAS)].type)


def whole(type_: Any) -> Any:
    """A cast to VARCHAR(n) cuts without a word; as TEXT, what is too long is refused by its column."""
    return Text() if isinstance(type_, String) else type_
