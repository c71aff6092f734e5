"""Who takes part in a run: a strategy, and for those over a lock server the form of it.

The usual form compares row versions. `redis-pubsub:fence` compares fencing tokens instead, `redis-pubsub:bare` nothing
at all: the control that shows what a lease alone is worth. Neighbours: `plan` chooses entrants, `crew` opens them.
"""

from dataclasses import dataclass, replace

from stockade.core import Guarantees
from stockade.lab.errors import LabError
from stockade.strategies import registry
from stockade.strategies.lock_based import LockBased
from stockade.strategies.options import Options

FORMS = ("fence", "bare")
BARE_SURVIVES = ("crash",)  # the lease ends, and the database undoes what the dead holder had not committed


@dataclass(frozen=True, slots=True)
class Entrant:
    """A strategy in a form.

    Attributes:
        strategy: its name in the registry.
        form: empty, or one of `FORMS`.
    """

    strategy: str
    form: str = ""

    @classmethod
    def parse(cls, text: str) -> "Entrant":
        """`redis-pubsub:bare` -> the entrant.

        Raises:
            LabError: no such strategy, or no such form of it; the message says which there are.
        """
        name, _, form = text.partition(":")
        if name not in registry.names():
            raise LabError(f"unknown strategy {name!r}; there are: {', '.join(registry.names())}")
        if form and form not in forms(name):
            there = f"there are: {', '.join(FORMS)}" if forms(name) else "only strategies over a lock server have forms"
            raise LabError(f"unknown form {form!r} of {name}; {there}")
        return cls(name, form)

    @property
    def name(self) -> str:
        """How reports name it."""
        return f"{self.strategy}:{self.form}" if self.form else self.strategy

    @property
    def guarantees(self) -> Guarantees:
        """What it claims; the bare form claims no fault that takes a lease from a living holder."""
        guarantees = registry.guarantees(self.strategy)
        return replace(guarantees, faults=BARE_SURVIVES) if self.form == "bare" else guarantees

    @property
    def redis_servers(self) -> int:
        """How many independent Redis servers it needs at least."""
        kind = registry.find(self.strategy)
        return kind.servers if issubclass(kind, LockBased) else 0

    @property
    def over_log(self) -> bool:
        """Whether worker processes decide for it what it has put into a log of Apache Kafka."""
        return "kafka" in registry.guarantees(self.strategy).needs

    def options(self, usual: Options) -> Options:
        """The usual parameters, with those of the form."""
        return replace(usual, fence=self.form == "fence", bare=self.form == "bare")


def forms(strategy: str) -> tuple[str, ...]:
    """The forms that a strategy has besides the usual one."""
    return FORMS if issubclass(registry.find(strategy), LockBased) else ()


def everyone(*, with_forms: bool) -> list[Entrant]:
    """Every strategy in the order of the documentation, each followed by its forms if they are wanted."""
    return [Entrant(name, form) for name in registry.names() for form in ("", *(forms(name) if with_forms else ()))]
