"""A screen: one statement that reads the tables once for several rules, and says which of these rules to run.

In a sound shop only the screens run. A screen may name a rule that then finds nothing; it never omits a rule that would
find something. Neighbour: `rules` lists them; each is a module of the folder `screens`.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, Subquery, func, or_, select

from stockade.service.audit.rule_types import Rule
from stockade.service.audit.stack import one_if


class Screen(NamedTuple):
    """One statement for several rules.

    Attributes:
        name: stands in the list of steps of a long audit.
        statement: makes the statement for a dialect; its one row has 1 in the columns that found something.
        suspects: the rules to run for each column.
    """

    name: str
    statement: Callable[[str], Select[Any]]
    suspects: Mapping[str, tuple[Rule, ...]]

    @property
    def rules(self) -> list[Rule]:
        """The rules that the screen decides about."""
        return list(dict.fromkeys(rule for rules in self.suspects.values() for rule in rules))

    def look(self, conn: Connection) -> set[Rule]:
        """The rules to run."""
        found = conn.execute(_made(self.statement, conn.dialect.name)).mappings().one()
        return {rule for name, rules in self.suspects.items() if found[name] for rule in rules}


@functools.cache
def _made(statement: Callable[[str], Select[Any]], dialect: str) -> Select[Any]:
    """To make it takes longer than a small shop takes to answer it."""
    return statement(dialect)


def flags(groups: Subquery, **wrong: ColumnElement[bool]) -> Select[Any]:
    """For each condition, 1 if any group fulfils it, else 0."""
    found = (func.coalesce(func.max(one_if(each)), 0).label(name) for name, each in wrong.items())
    columns: list[ColumnElement[Any]] = list(found)
    return select(*columns).select_from(groups).where(or_(*wrong.values()))
