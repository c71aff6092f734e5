"""`unprotected`: the control that must fail."""

from typing import ClassVar

from stockade.core import Guarantees, Guard
from stockade.strategies.base import Base


class Unprotected(Base):
    """Reads, decides, writes what it decided, and looks at nothing: sells units more than once.

    The naive form of both seeds. It is here because a test that cannot fail proves nothing.
    """

    name: ClassVar[str] = "unprotected"
    guarantees: ClassVar[Guarantees] = Guarantees(may_oversell=True, faults=())

    @property
    def guard(self) -> Guard:
        return Guard.NONE
