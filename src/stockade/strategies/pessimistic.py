"""`pessimistic`: wait at the database's row lock."""

from typing import ClassVar

from stockade.core import Guard, GuardKind, Promise
from stockade.strategies.base import Base


class Pessimistic(Base):
    """SELECT … FOR UPDATE on every row of the command, in key order, with a bounded wait (seed 000: 5000 ms).

    The pessimistic lock of both seeds, with their deadlock removed: all rows are taken in one global order.
    """

    name: ClassVar[str] = "pessimistic"
    promise: ClassVar[Promise] = Promise(order="database")

    @property
    def guard(self) -> Guard:
        return Guard(GuardKind.ROW, unsorted=True) if self.options.unsorted else Guard.ROW
