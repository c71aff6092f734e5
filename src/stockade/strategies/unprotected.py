"""`unprotected`: the contender that must fail."""

from typing import ClassVar

from stockade.core import Guarantees, Guard
from stockade.strategies.base import Base


class Unprotected(Base):
    """Reads, decides and writes without any check: sells units more than once.

    It is the negative control: a test that cannot fail proves nothing.
    """

    name: ClassVar[str] = "unprotected"
    guarantees: ClassVar[Guarantees] = Guarantees(may_oversell=True, faults=())

    @property
    def guard(self) -> Guard:
        return Guard.NONE
