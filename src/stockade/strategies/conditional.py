"""`conditional`: let the UPDATE itself check."""

from typing import ClassVar

from stockade.core import Guarantees, Guard
from stockade.strategies.base import Retrying


class Conditional(Retrying):
    """UPDATE … SET n = n - d WHERE n >= d: the simplest strong control, which both seeds missed.

    Only writers that really collide over the last units decide again; other rows of the command compare versions.
    """

    name: ClassVar[str] = "conditional"
    guarantees: ClassVar[Guarantees] = Guarantees()

    @property
    def guard(self) -> Guard:
        return Guard.DELTA
