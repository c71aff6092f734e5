"""`pessimistic`: wait for the row locks of the database."""

from typing import ClassVar

from stockade.core import Guarantees, Guard, GuardKind
from stockade.strategies.base import Base


class Pessimistic(Base):
    """SELECT … FOR UPDATE on every row of the command, in key order, with a bounded wait.

    All commands lock their rows in one global order, so they cannot deadlock. With the option `nowait` a command does
    not wait: Busy at once, and nothing happened.
    """

    name: ClassVar[str] = "pessimistic"
    guarantees: ClassVar[Guarantees] = Guarantees(order="database")

    @property
    def guard(self) -> Guard:
        options = self.options
        if not options.keep_request_order and not options.nowait:
            return Guard.ROW
        return Guard(GuardKind.ROW, keep_request_order=options.keep_request_order, nowait=options.nowait)
