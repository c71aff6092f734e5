"""All writes of a batch as one PostgreSQL statement: a data-modifying CTE for each part.

A part with one row sends plain parameters, as most commands on their own have it. A part with many sends an array for
each column, and where all rows share a value that value alone, a third of all values in a batch of orders. PostgreSQL
runs the parts in no promised order: rows may be updated this way only because the transaction holds them already.
Neighbour: `postgres` sends it.
"""

from collections.abc import Sequence
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
    func,
    insert,
    literal_column,
    select,
    update,
)

from stockade.store.dialect import Values

_FIRST: Any = literal_column("1")  # arrays of PostgreSQL begin at 1


class Part(NamedTuple):
    """Rows to `insert`, `delete` or `update` in one table; each has the columns of the first."""

    kind: str
    table: Table
    names: tuple[str, ...]
    rows: Sequence[Values]

    @property
    def shape(self) -> tuple[str, str, tuple[str, ...], bool]:
        """Parts of one shape are written by one statement."""
        return self.kind, self.table.name, self.names, len(self.rows) == 1


def writing(parts: Sequence[Part]) -> Any:
    """The statement for parts of these shapes."""
    return select(literal_column("1")).add_cte(*(_one(n, part).cte(f"w{n}") for n, part in enumerate(parts)))


def parameters(parts: Sequence[Part]) -> dict[str, Any]:
    """The values that its parameters take."""
    values: dict[str, Any] = {}
    for n, (_, table, names, rows) in enumerate(parts):
        if len(rows) == 1:
            values.update((f"p{n}_{name}", value) for name, value in rows[0].items())
            continue
        entire = _entire(table, names)
        for name in names:
            array = [row[name] for row in rows]
            shared = name not in entire and array.count(array[0]) == len(array)
            values[f"p{n}_{name}"] = array[:1] if shared else array
    return values


def arrays(n: int, table: Table, names: Sequence[str]) -> Any:
    """`unnest` over an array parameter for each column, as rows."""
    columns = [column(name, _type(table, name)) for name in names]
    parameters_ = [bindparam(f"p{n}_{each.name}", type_=ARRAY(each.type)) for each in columns]
    return func.unnest(*parameters_).table_valued(*columns).render_derived(f"a{n}")


def _one(n: int, part: Part) -> Any:
    kind, table, names, rows = part
    many = arrays(n, table, names) if len(rows) > 1 else None
    values = {name: _value(n, part, name, many) for name in names}
    if kind == "insert" and many is not None:
        return insert(table).from_select(list(names), select(*values.values()), include_defaults=False)
    if kind == "insert":
        return insert(table).values(values)
    if kind == "delete":
        return delete(table).where(and_(*(table.c[name] == value for name, value in values.items())))
    id_ = values.pop("id_")
    return update(table).where(table.c.id == id_).values(values)


def _value(n: int, part: Part, name: str, many: Any) -> Any:
    """A column of a part. `unnest` fills shorter arrays up with NULL: there it is the array's first value."""
    type_ = _type(part.table, name)
    if many is None:
        return bindparam(f"p{n}_{name}", type_=type_)
    if name in _entire(part.table, part.names):
        return many.c[name]
    # the inner coalesce only makes SQLAlchemy put brackets around the parameter
    array: Any = func.coalesce(bindparam(f"p{n}_{name}", type_=ARRAY(type_)), type_=ARRAY(type_))
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
