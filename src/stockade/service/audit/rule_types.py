"""What a rule of the audit is, and what it finds."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import Connection, Select, select

from stockade.service.audit.stack import many_groups

Finding: TypeAlias = tuple[str, int | str, int | str]
"""Where a rule is broken, what should be there, and what is there."""


class Violation(NamedTuple):
    """A broken rule: its id, where it is broken, what should be there, and what is there."""

    rule: str
    subject: str
    expected: int | str
    actual: int | str

    @property
    def detail(self) -> str:
        """The violation without its rule, as one sentence."""
        return f"{self.subject}: expected {self.expected}, found {self.actual}"


@dataclass(frozen=True, slots=True)
class Scope:
    """How many violations to report.

    Attributes:
        limit: the most that one rule reports.
    """

    limit: int = 20

    def rows(self, conn: Connection, statement: Select[Any]) -> Iterator[Any]:
        """The violating rows in the order of their first column, at most `limit`.

        A rule is one statement, or several that are right each by itself. Every statement sees one snapshot, so an
        audit that runs beside orders reports nothing that is not broken.
        """
        # Without the CTE, the limit tells PostgreSQL to plan for the first few rows. A sound shop has no violation, so
        # the statement reads everything, and such a plan is slow.
        found = many_groups(statement).cte("found").prefix_with("MATERIALIZED", dialect="postgresql")
        yield from conn.execute(select(found).order_by(next(iter(found.c))).limit(self.limit))


@dataclass(frozen=True, eq=False)
class Rule:
    """One rule of the audit.

    Attributes:
        id: stands in every violation.
        check: finds where the rule is broken.
    """

    id: str
    check: Callable[[Connection, Scope], Iterator[Finding]]

    def __call__(self, conn: Connection, scope: Scope) -> Iterator[Violation]:
        """The violations of this rule."""
        for subject, expected, actual in self.check(conn, scope):
            yield Violation(self.id, subject, expected, actual)


def rule(id_: str) -> Callable[[Callable[[Connection, Scope], Iterator[Finding]]], Rule]:
    """Decorator: makes a rule of the function that checks it."""
    return lambda check: Rule(id_, check)
