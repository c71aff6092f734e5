"""All writes of a batch as one PostgreSQL statement: a data-modifying CTE for each part.

It can begin with checks: they lock rows, one table after the other and each in the order of its rows, and compare them
with what the batch was decided on; if one is another, no part writes anything.

A part with one row sends plain parameters, as most commands on their own have it. A part with many sends an array for
each column; where all rows share a value that value alone, and where two columns are equal their array once: two thirds
of all values in a batch of orders. PostgreSQL runs the parts in no promised order: rows may be updated this way only
because the transaction holds them already, or because a check of the same statement does. Neighbour: `postgres` sends
it.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import (
    ARRAY,
    BigInteger,
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
    true,
    update,
)

from stockade.store.dialect import Values

MANY = 16  # rows from which on equal columns are looked for: fewer are equal by chance, and every case is a statement
COUNT = "count"  # the parameter of a check that tells how many rows it has
_FIRST: Any = literal_column("1")  # arrays of PostgreSQL begin at 1


class Part(NamedTuple):
    """Rows to `check`, `insert`, `delete` or `update` in one table; each has the columns of the first.

    Of a check or an update, columns whose names end with `_` are the key.
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
        for n, (kind, table, names, rows) in enumerate(parts):
            if kind == "check":
                self.values[f"p{n}_{COUNT}"] = len(rows)
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
        """One statement for all parts. It returns a row if every check found what it should; without checks, always."""
        right: Any = true()  # so far
        for n, part in enumerate(self._parts):
            if part.kind == "check":
                right = _all_same(n, _check(n, part, self._read_as, right).cte(f"w{n}"))
        ctes: list[Any] = []
        answer: Any = select(literal_column("1"))
        if right is not true():
            held = answer.where(right).cte("held")
            answer, right = answer.select_from(held), exists(select(literal_column("1")).select_from(held))
        for n, part in enumerate(self._parts):
            if part.kind != "check":
                ctes.append(_one(n, part, self._read_as, right).cte(f"w{n}"))
        return answer.add_cte(*ctes)


def arrays(n: int, table: Table, names: Sequence[str], read_as: Mapping[str, str] | None = None) -> Any:
    """`unnest` over an array parameter for each column, as rows."""
    columns = [column(name, _type(table, name)) for name in names]
    parameters = [_array(n, each.name, each.type, read_as or {}) for each in columns]
    return func.unnest(*parameters).table_valued(*columns).render_derived(f"a{n}")


def _array(n: int, name: str, type_: Any, read_as: Mapping[str, str]) -> Any:
    parameter = f"p{n}_{name}"
    return bindparam(read_as.get(parameter, parameter), type_=ARRAY(type_))


def _check(n: int, part: Part, read_as: Mapping[str, str], before: Any) -> Any:
    """Lock the rows in the order of the arrays if all `before` was right, and tell of each whether it is as assumed.

    What it tells is of the row as it is once it is locked, whoever changed it while this statement waited.
    """
    _, table, names, rows = part
    many = arrays(n, table, names, read_as) if len(rows) > 1 else None
    values = {name: _value(n, part, name, many, read_as) for name in names}
    key, rest = _keyed(table, values)
    same = and_(*(table.c[name].is_not_distinct_from(value) for name, value in rest.items()))
    source = table if many is None else many.join(table, key)
    found = select(same.label("same")).select_from(source).where(before)
    return (found.where(key) if many is None else found).with_for_update(key_share=True, of=table)


def _all_same(n: int, check: Any) -> Any:
    right = select(func.count()).select_from(check).where(check.c.same).scalar_subquery()
    return right == bindparam(f"p{n}_{COUNT}", type_=BigInteger())


def _keyed(table: Table, values: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The condition that the columns named with `_` make, and the other values."""
    key = and_(*(table.c[name[:-1]] == value for name, value in values.items() if name.endswith("_")))
    return key, {name: value for name, value in values.items() if not name.endswith("_")}


def _one(n: int, part: Part, read_as: Mapping[str, str], held: Any) -> Any:
    kind, table, names, rows = part
    many = arrays(n, table, names, read_as) if len(rows) > 1 else None
    values = {name: _value(n, part, name, many, read_as) for name in names}
    if kind == "insert" and (many is not None or held is not true()):
        rows_ = select(*values.values()).where(held)
        return insert(table).from_select(list(names), rows_, include_defaults=False)
    if kind == "insert":
        return insert(table).values(values)
    if kind == "delete":
        return delete(table).where(and_(*(table.c[name] == value for name, value in values.items())), held)
    key, moved = _keyed(table, values)
    return update(table).where(key, held).values(moved)


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
    return whole(table.c[name.removesuffix("_")].type)


def whole(type_: Any) -> Any:
    """A cast to VARCHAR(n) cuts without a word; as TEXT, what is too long is refused by its column."""
    return Text() if isinstance(type_, String) else type_
