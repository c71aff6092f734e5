"""`pessimistic`: wait for the row locks of the database."""

from typing import ClassVar

from stockade.core import Guarantees, Guard, GuardKind
from stockade.strategies.base import Base


class Pessimistic(Base):
    """SELECT … FOR UPDATE on every row of the command, in key order, with a bounded wait.

    All commands lock their rows in one global order, so they cannot deadlock.
    """

    name: ClassVar[str] = "pessimistic"
    guarantees: ClassVar[Guarantees] = Guarantees(order="database")

    @property
    def guard(self) -> Guard:
        return Guard(GuardKind.ROW, keep_request_order=True) if self.options.keep_request_order else Guard.ROW
