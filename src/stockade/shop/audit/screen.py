"""A screen: one pass over records that several rules share. It says which of these rules must look closer.

A sound shop needs no more than the screens. A screen may name a rule that then finds nothing; it never leaves out one
that would find something. Neighbours: `screens_of_rows` and `screens_of_requests` are the screens, `plan` runs them.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, Subquery, case, func, or_, select

from stockade.shop.audit.rule import Rule


class Screen(NamedTuple):
    """One statement for several rules.

    Attributes:
        statement: makes it for a database of this name; one record, 1 in the columns that have found something.
        suspects: the rules to run for each column.
    """

    statement: Callable[[str], Select[Any]]
    suspects: Mapping[str, tuple[Rule, ...]]

    @property
    def rules(self) -> list[Rule]:
        """Those that it decides about."""
        return list(dict.fromkeys(rule for rules in self.suspects.values() for rule in rules))

    def look(self, conn: Connection) -> set[Rule]:
        """The rules that must look closer."""
        found = conn.execute(self.statement(conn.dialect.name)).mappings().one()
        return {rule for name, rules in self.suspects.items() if found[name] for rule in rules}


def flags(groups: Subquery, **wrong: ColumnElement[bool]) -> Select[Any]:
    """Which conditions any group fulfils: 1 or 0 for each."""
    columns = (func.coalesce(func.max(case((each, 1), else_=0)), 0).label(name) for name, each in wrong.items())
    return select(*columns).select_from(groups).where(or_(*wrong.values()))
