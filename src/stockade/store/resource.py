"""What a kind of key means in SQL: its table, its state type and its counters."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Table


@dataclass(frozen=True, eq=False)
class Resource:
    """Maps keys of one kind to rows of one table.

    Attributes:
        kind: the kind of the keys, e.g. `stock`.
        table: a table with a text primary key `id` and the columns `version` and `stamp`, unless `many`.
        state: a NamedTuple type; its fields are columns of the table.
        counters: at most two fields that only ever move by a difference; the ledger records both. The second is a
            part of the first that is spoken for (reserved of on hand, held of balance).
        fixed: fields that never change after the insert, so a save does not write them.
        zero: the state in which a row is opened when a change first needs it (a points account); None for rows that
            are made on purpose.
        many: for children that are only inserted and read, never locked or changed: the key names the parent and
            the loaded state is a tuple of states, in primary-key order.
        parent: the column that holds the key's id when `many`.
    """

    kind: str
    table: Table
    state: type[Any]
    counters: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    zero: Any = None
    many: bool = False
    parent: str = "id"
    written: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        missing = [name for name in self.state._fields if name not in self.table.c]
        if missing:
            raise ValueError(f"table {self.table.name} has no column for {', '.join(missing)} of {self.state.__name__}")
        if len(self.counters) > 2:
            raise ValueError(f"a resource has at most two counters, {self.kind} names {self.counters}")
        written = tuple(name for name in self.state._fields if name not in self.fixed)
        object.__setattr__(self, "written", written)

    def counter(self, state: Any, index: int) -> int:
        """The value of a counter, 0 where the resource has no such counter."""
        return int(getattr(state, self.counters[index])) if index < len(self.counters) else 0
