"""What one call of `transact` carries from attempt to attempt."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from stockade.core import Command, Key, OffsetCommit, Unknown
from stockade.store.transaction.decide import Answer
from stockade.store.transaction.single_statement.speculation import Flight


@dataclass(slots=True)
class Source:
    """Where the commands of one call were read from; `moved` once a transaction has committed the move."""

    offsets: tuple[OffsetCommit, ...]
    moved: bool = False


@dataclass(slots=True)
class Pending:
    """Commands that still have no answer, and what is known about their attempts so far."""

    commands: list[Command]
    extra: tuple[Key, ...] = ()
    to_open: tuple[Key, ...] = ()
    look_up: bool = False
    early: bool = False  # the look-up may come before the last rows are locked
    duplicates: int = 0
    failures: int = 0
    uncertain: bool = False
    source: Source | None = None
    on_decided: Callable[[], None] | None = None
    whole: bool = True  # these are all commands of the call, so their transaction may move its positions
    flight: Flight = field(default_factory=Flight)

    def may_move(self, answers: Iterable[object]) -> bool:
        """Whether a transaction with these answers leaves no command of the call without an outcome."""
        return self.whole and all(isinstance(answer, tuple) for answer in answers)

    def give_up(self, error: Exception) -> list[Answer]:
        """The error for each command; Unknown instead if an earlier commit may have happened."""
        return [_unknown(error) if self.uncertain else error for _ in self.commands]

    def tell_decided(self) -> None:
        """Once: tell the caller that the next batch may begin."""
        on_decided, self.on_decided = self.on_decided, None
        if on_decided is not None:
            on_decided()


def _unknown(cause: Exception) -> Unknown:
    unknown = Unknown("the reply to the commit was lost; send the same request id again to learn what happened")
    unknown.__cause__ = cause
    return unknown
