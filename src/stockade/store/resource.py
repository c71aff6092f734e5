"""What a kind of key means in SQL: its table, its state type and its counters."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from sqlalchemy import Table

from stockade.core import Event, Row


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
        announce: makes the event that tells of a change, of the row before and after it; None: nothing is told. A
            batch that changes a row several times tells of it once.
    """

    kind: str
    table: Table
    state: type[Any]
    counters: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    zero: Any = None
    many: bool = False
    parent: str = "id"
    announce: Callable[[Row, Row], Event] | None = None
    written: tuple[str, ...] = field(init=False)
    totals: Callable[[Any], tuple[int, int]] = field(init=False, repr=False)  # of a state: both counters, 0 for none
    others: Callable[[Any], Any] = field(init=False, repr=False)  # of a state: all that no counter is

    def __post_init__(self) -> None:
        missing = [name for name in self.state._fields if name not in self.table.c]
        if missing:
            raise ValueError(f"table {self.table.name} has no column for {', '.join(missing)} of {self.state.__name__}")
        if any(name.endswith("_") for name in self.state._fields):
            raise ValueError(f"no field of {self.state.__name__} may end with _: so the store marks keys")
        if len(self.counters) > 2:
            raise ValueError(f"a resource has at most two counters, {self.kind} names {self.counters}")
        written = tuple(name for name in self.state._fields if name not in self.fixed)
        object.__setattr__(self, "written", written)
        places = [self.state._fields.index(name) for name in self.counters]
        rest = [place for place in range(len(self.state._fields)) if place not in places]
        object.__setattr__(self, "totals", _pair(places))
        object.__setattr__(self, "others", itemgetter(*rest) if rest else _nothing)


def _pair(places: Sequence[int]) -> Callable[[Any], tuple[int, int]]:
    """What reads two counters by their places; it runs several times for every order, so it is built once."""
    if len(places) == 2:
        return itemgetter(*places)
    return (lambda state: (state[places[0]], 0)) if places else (lambda state: (0, 0))


def _nothing(state: Any) -> None:
    return None
