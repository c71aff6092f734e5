"""`optimistic`: no command waits; the first writer wins, the others decide again."""

from typing import ClassVar

from stockade.core import Guarantees, Guard, GuardKind
from stockade.strategies.base import Retrying


class Optimistic(Retrying):
    """Compares the version (or the time of the last change) at the write and retries with jitter.

    With 0 retries, requests that could succeed fail. (Kung and Robinson 1981.)
    """

    name: ClassVar[str] = "optimistic"
    guarantees: ClassVar[Guarantees] = Guarantees()

    @property
    def guard(self) -> Guard:
        if self.options.timestamp:
            return Guard(GuardKind.TIMESTAMP, bare_clock=self.options.bare)
        return Guard.VERSION
