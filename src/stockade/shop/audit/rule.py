"""What a rule of the audit finds, and what it is told."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import Connection, Select, select

from stockade.shop.audit.together import summed


class Violation(NamedTuple):
    """A broken rule: which one, at what, what should be there and what is."""

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
    """How far to look.

    Attributes:
        limit: violations that one rule reports at most.
    """

    limit: int = 20

    def rows(self, conn: Connection, statement: Select[Any]) -> Iterator[Any]:
        """The violating rows in the order of their first column, at most `limit`.

        A rule is one statement, or several that can each stand alone: every statement sees one snapshot, so an audit
        beside running orders finds nothing that is not broken.
        """
        found = summed(statement).cte("found").prefix_with("MATERIALIZED", dialect="postgresql")
        # Apart from the statement, the limit is no promise to PostgreSQL that the first few records will do: it would
        # plan for a quick start, and a sound shop has no violation to stop at.
        yield from conn.execute(select(found).order_by(next(iter(found.c))).limit(self.limit))


Rule: TypeAlias = Callable[[Connection, Scope], Iterator[Violation]]
