"""What a kind of key means in SQL: its table, its state type and its counters."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from sqlalchemy import Table

from stockade.core import Event, Row
from stockade.store.schema.tables import ledger

_SET_BY_STORE = ("id", "version", "stamp", "fence", "fence_owner")


@dataclass(frozen=True, eq=False)
class Resource:
    """Maps keys of one kind to rows of one table.

    Attributes:
        kind: the kind of the keys, e.g. `stock`. Rows are locked in the order of their kinds, so the kind with the hot
            rows should come last: `stock` does only because the word sorts after the shop's other kinds.
        table: a table with a text primary key `id` and the columns `version` and `stamp`, unless `many`.
        state: a NamedTuple type; its fields are columns of the table.
        counters: at most two fields that commands change by a difference; the ledger records both. The second is the
            part of the first that is held (reserved of on hand, held of balance).
        fixed: fields that never change after the INSERT.
        zero: the state in which the store inserts a row that does not exist when a command changes it (a points
            account); None: only a command inserts rows.
        many: the rows are children that are only inserted and read, never locked or changed. The key names the parent,
            and the loaded state is a tuple of states in the order of the primary key.
        parent: the column that holds the key's id when `many`.
        change_event: makes the event of a change from the row before and the row after it; None: no event. A batch that
            changes a row several times makes one event.

    Raises:
        ValueError: the table or the state does not fit; the message says what is missing.
    """

    kind: str
    table: Table
    state: type[Any]
    counters: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    zero: Any = None
    many: bool = False
    parent: str = "id"
    change_event: Callable[[Row, Row], Event] | None = None
    written: tuple[str, ...] = field(init=False)
    # of a state: both counters, 0 where there is none
    totals: Callable[[Any], tuple[int, int]] = field(init=False, repr=False)
    others: Callable[[Any], Any] = field(init=False, repr=False)  # of a state: the fields that are no counters
    constants: Callable[[Any], Any] = field(init=False, repr=False)  # of a state: the fixed fields
    # type of the state that a change sets; None: rows are never changed
    changed: type[Any] | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for problem in (_kind_problem(self.kind), self._state_problem(), self._table_problem()):
            if problem:
                raise ValueError(problem)
        fields = self.state._fields
        object.__setattr__(self, "written", tuple(name for name in fields if name not in self.fixed))
        places = [fields.index(name) for name in self.counters]
        rest = [place for place in range(len(fields)) if place not in places]
        object.__setattr__(self, "totals", _pair(places))
        object.__setattr__(self, "others", itemgetter(*rest) if rest else _nothing)
        fixed = [fields.index(name) for name in self.fixed]
        object.__setattr__(self, "changed", None if self.many else self.state)
        object.__setattr__(self, "constants", itemgetter(*fixed) if fixed else _nothing)

    def _state_problem(self) -> str:
        name = getattr(self.state, "__name__", repr(self.state))
        if not hasattr(self.state, "_fields"):
            return f"the state of {self.kind} must be a NamedTuple type, not {name}"
        fields = self.state._fields
        if missing := [each for each in fields if each not in self.table.c]:
            return f"table {self.table.name} has no column for {', '.join(missing)} of {name}"
        if any(each.endswith("_") for each in fields):
            return f"no field of {name} may end with _: the store uses such names for parameters"
        if not self.many and (own := [each for each in fields if each in _SET_BY_STORE]):
            return f"no field of {name} may be {', '.join(own)}: the store keeps those itself"
        if unknown := [each for each in (*self.counters, *self.fixed) if each not in fields]:
            return f"{name} has no field for {', '.join(unknown)}"
        if len(self.counters) > 2:
            return f"a resource has at most two counters, {self.kind} names {self.counters}"
        if self.zero is not None and type(self.zero) is not self.state:
            return f"the zero of {self.kind} must be a {name}"
        return ""

    def _table_problem(self) -> str:
        columns, key = self.table.c, [column.name for column in self.table.primary_key]
        if self.many:
            wrong = self.counters or self.zero is not None or self.change_event is not None
            if wrong:
                return f"rows of {self.kind} are never changed: they take no counters, zero or change_event"
            return "" if self.parent in columns else f"table {self.table.name} has no column {self.parent}, the parent"
        if missing := [each for each in ("id", "version", "stamp") if each not in columns]:
            names = ", ".join(missing)
            return f"table {self.table.name} has no column {names}: add `guarded()` of stockade.store.schema.tables"
        if key != ["id"]:
            return f"the primary key of {self.table.name} must be id, not {', '.join(key) or 'none'}"
        return ""


def by_kind(resources: Sequence[Resource]) -> dict[str, Resource]:
    """The resources of one store by their kinds.

    Raises:
        ValueError: two have one kind or one table: then two keys would lock the same row. Children are never locked, so
            a resource with `many` may read the table of another one.
    """
    for what, names in (
        ("kind", [each.kind for each in resources]),
        ("table", [each.table.name for each in resources if not each.many]),
    ):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two resources have the {what} {', '.join(twice)}")
    return {each.kind: each for each in resources}


def _kind_problem(kind: object) -> str:
    longest = int(ledger.c.kind.type.length)  # type: ignore[attr-defined]  # a String
    if not isinstance(kind, str) or not 0 < len(kind) <= longest or ":" in kind:
        return f"the kind {kind!r:.100} must have 1 to {longest} characters, and no colon"
    return ""


def _pair(places: Sequence[int]) -> Callable[[Any], tuple[int, int]]:
    """A function that reads the counters by their positions; built once, because every order calls it several times."""
    if len(places) == 2:
        return itemgetter(*places)
    return (lambda state: (state[places[0]], 0)) if places else (lambda state: (0, 0))


def _nothing(state: Any) -> None:
    return None
