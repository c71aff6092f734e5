"""A contender: a strategy, and for strategies over a lock server the form of it.

The usual form compares row versions. `redis-pubsub:fence` compares fencing tokens instead. `redis-pubsub:bare` compares
nothing: the negative control that shows what a lease alone protects. In the presets `payment-*` the schemes of the
reports are contenders too. Neighbours: `runs/plan.py` chooses the contenders.
"""

from dataclasses import dataclass, replace

from stockade.core import Guarantees
from stockade.lab.errors import LabError
from stockade.lab.schemes import SCHEMES
from stockade.strategies import registry
from stockade.strategies.lock_based import LockBased
from stockade.strategies.options import Options

FORMS = ("fence", "bare")
BARE_SURVIVES = ("crash",)  # the lease ends, and the database undoes what the dead holder had not committed


@dataclass(frozen=True, slots=True)
class Contender:
    """A strategy in a form.

    Attributes:
        strategy: its name in the registry.
        form: empty, or one of `FORMS`.
        scheme: a way to pay of `schemes`, a negative control; empty: the shop's own.
    """

    strategy: str
    form: str = ""
    scheme: str = ""

    @classmethod
    def parse(cls, text: str) -> "Contender":
        """Read a name such as `redis-pubsub:bare`.

        Raises:
            LabError: no such strategy, or no such form of it; the message lists those that exist.
        """
        name, _, form = text.partition(":")
        if text in SCHEMES:
            return cls(SCHEMES[text].strategy, scheme=text)
        if name not in registry.names():
            ways = f"ways to pay, for the presets payment-*: {', '.join(SCHEMES)}"
            raise LabError(f"unknown strategy {name!r}; there are: {', '.join(registry.names())}; {ways}")
        if form and form not in forms(name):
            there = f"there are: {', '.join(FORMS)}" if forms(name) else "only strategies over a lock server have forms"
            raise LabError(f"unknown form {form!r} of {name}; {there}")
        return cls(name, form)

    @property
    def name(self) -> str:
        """Its name in options and reports."""
        return self.scheme or (f"{self.strategy}:{self.form}" if self.form else self.strategy)

    @property
    def guarantees(self) -> Guarantees:
        """What it promises; the bare form promises no fault in which a living holder loses its lease."""
        guarantees = registry.guarantees(self.strategy)
        return replace(guarantees, faults=BARE_SURVIVES) if self.form == "bare" else guarantees

    @property
    def redis_servers(self) -> int:
        """How many independent Redis servers it needs at least."""
        kind = registry.find(self.strategy)
        return kind.servers if issubclass(kind, LockBased) else 0

    @property
    def needs_kafka(self) -> bool:
        """Whether it queues commands in Apache Kafka, where log workers decide them."""
        return "kafka" in registry.guarantees(self.strategy).needs

    def options(self, usual: Options) -> Options:
        """The usual parameters, with those of the form."""
        return replace(usual, fence=self.form == "fence", bare=self.form == "bare")


def forms(strategy: str) -> tuple[str, ...]:
    """The forms that a strategy has besides the usual one."""
    return FORMS if issubclass(registry.find(strategy), LockBased) else ()


def all_contenders(*, with_forms: bool) -> list[Contender]:
    """Every strategy in the order of the registry, each followed by its forms if `with_forms`."""
    return [Contender(name, form) for name in registry.names() for form in ("", *(forms(name) if with_forms else ()))]


def payment_contenders() -> list[Contender]:
    """Every strategy under which the shop pays, then the schemes that are compared with it."""
    ours = [each for each in all_contenders(with_forms=False) if not why_not_paying(each)]
    return [*ours, *(Contender.parse(name) for name in SCHEMES)]


def why_not_paying(contender: Contender) -> str:
    """Why a contender takes no part where buyers pay through a gateway; empty: it does."""
    if contender.guarantees.may_oversell:
        return "cannot fail here: the reference of an attempt is unique, whatever the strategy"
    if contender.needs_kafka:
        return "workers decide its claims, and these runs have none"
    return ""
