"""`pessimistic`: wait at the database's row lock."""

from typing import ClassVar

from stockade.core import Guarantees, Guard, GuardKind
from stockade.strategies.base import Base


class Pessimistic(Base):
    """SELECT … FOR UPDATE on every row of the command, in key order, with a bounded wait (seed 000: 5000 ms).

    The pessimistic lock of both seeds, with their deadlock removed: all rows are taken in one global order.
    """

    name: ClassVar[str] = "pessimistic"
    guarantees: ClassVar[Guarantees] = Guarantees(order="database")

    @property
    def guard(self) -> Guard:
        return Guard(GuardKind.ROW, keep_request_order=True) if self.options.keep_request_order else Guard.ROW
