"""`conditional`: the UPDATE checks its own condition."""

from typing import ClassVar

from stockade.core import Guarantees, Guard
from stockade.strategies.base import Retrying


class Conditional(Retrying):
    """UPDATE … SET n = n - d WHERE n >= d: the simplest strategy that never oversells.

    Only writers that compete for the last units decide again. The other rows of the command compare versions.
    """

    name: ClassVar[str] = "conditional"
    guarantees: ClassVar[Guarantees] = Guarantees()

    @property
    def guard(self) -> Guard:
        return Guard.DELTA
