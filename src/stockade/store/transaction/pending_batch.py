"""A batch without answers yet: its commands, and what its attempts have shown.

Neighbours: `transact` makes it, the executors read it, `retry` moves it from state to state.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from stockade.core import Command, Key, OffsetCommit, Unknown
from stockade.store.transaction.in_flight import InFlightBatch
from stockade.store.transaction.write_set import Answer


class BatchState(Enum):
    """What is known of a batch, and so how its next attempt has to run."""

    NEW = "new"  # the id of a single command is not looked up: if it is recorded, its insert fails
    LOOK_UP_IDS = "look up ids"  # a request id may be recorded: all are looked up once the rows are locked
    COMMIT_IN_DOUBT = "commit in doubt"  # a commit's reply was lost: as LOOK_UP_IDS, and an error now means Unknown
    SPLIT = "split"  # one command is at fault, and it is not known which: each one runs alone
    ANSWERED = "answered"


# A state never goes back: a batch that was once in doubt stays so, whatever else fails.
LEGAL_TRANSITIONS: Final = {
    BatchState.NEW: frozenset(BatchState),
    BatchState.LOOK_UP_IDS: frozenset(BatchState) - {BatchState.NEW},
    BatchState.COMMIT_IN_DOUBT: frozenset(
        {BatchState.COMMIT_IN_DOUBT, BatchState.SPLIT, BatchState.ANSWERED},
    ),
    BatchState.SPLIT: frozenset({BatchState.ANSWERED}),
    BatchState.ANSWERED: frozenset[BatchState](),
}


@dataclass(slots=True)
class ConsumedOffsets:
    """Where the commands of one call were read from.

    Attributes:
        commits: the moves, one for each partition.
        committed: whether a transaction has committed them.
    """

    commits: tuple[OffsetCommit, ...]
    committed: bool = False


@dataclass(slots=True)
class PendingBatch:
    """Commands without answers, and what is known about them.

    Attributes:
        commands: in the order of their answers.
        extra_keys: rows to load beside those that the commands name.
        offsets: of the call, if its commands come from a log.
        is_whole_call: whether the batch is the whole call, and not a command that runs alone after it failed; only
            then may its transaction commit the offsets.
        on_decided: see `Store.transact`; None once it was called.
        in_flight: the batch as later ones see it; the single-statement executor registers it.
        state: see `BatchState`; changed by `become`.
        missing_rows: rows to insert in a transaction of their own before the next attempt.
        duplicates: how many attempts a taken unique key has ended.
        failures: how many attempts a lost connection, a deadlock or a timeout has ended.
        answers: of the commands, once it is ANSWERED.
        parts: the commands one by one, once it is SPLIT.
    """

    commands: list[Command]
    extra_keys: tuple[Key, ...] = ()
    offsets: ConsumedOffsets | None = None
    is_whole_call: bool = True
    on_decided: Callable[[], None] | None = None
    in_flight: InFlightBatch = field(default_factory=InFlightBatch)
    state: BatchState = BatchState.NEW
    missing_rows: tuple[Key, ...] = ()
    duplicates: int = 0
    failures: int = 0
    answers: list[Answer] = field(default_factory=list)
    parts: list["PendingBatch"] = field(default_factory=list)

    def become(self, state: BatchState) -> None:
        """Go on to a state; a batch in doubt stays in doubt where it would only look its ids up."""
        if self.state is BatchState.COMMIT_IN_DOUBT and state is BatchState.LOOK_UP_IDS:
            return
        assert state in LEGAL_TRANSITIONS[self.state], f"{self.state} -> {state}"
        self.state = state

    def answer(self, answers: list[Answer]) -> None:
        """End with these answers, in the order of the commands."""
        self.become(BatchState.ANSWERED)
        self.answers = answers

    def give_up(self, error: Exception) -> None:
        """End with the error for each command; with Unknown instead if an earlier attempt may have committed."""
        in_doubt = self.state is BatchState.COMMIT_IN_DOUBT
        self.answer([_unknown(error) if in_doubt else error for _ in self.commands])

    def split(self) -> None:
        """Make each command a part of its own. The parts are the same batch in flight, so they never wait for it."""
        in_doubt = self.state is BatchState.COMMIT_IN_DOUBT
        state = BatchState.COMMIT_IN_DOUBT if in_doubt else BatchState.LOOK_UP_IDS
        for command in self.commands:
            part = PendingBatch(
                [command], offsets=self.offsets, is_whole_call=False, in_flight=self.in_flight, state=state
            )
            self.parts.append(part)
        self.become(BatchState.SPLIT)

    @property
    def looks_up_ids(self) -> bool:
        """Whether the next attempt reads recorded outcomes first: a repeated request must not make the other commands
        of its batch run twice, and a single command that is new needs no look-up."""
        return self.state is not BatchState.NEW or len(self.commands) > 1

    def may_commit_offsets(self, answers: Iterable[Answer]) -> bool:
        """Whether a transaction with these answers leaves no command of the call without an outcome."""
        return self.is_whole_call and all(isinstance(answer, tuple) for answer in answers)

    def report_decided(self) -> None:
        """Call `on_decided`, once."""
        on_decided, self.on_decided = self.on_decided, None
        if on_decided is not None:
            on_decided()


def _unknown(cause: Exception) -> Unknown:
    unknown = Unknown("the reply to the commit was lost; send the same request id again to learn what happened")
    unknown.__cause__ = cause
    return unknown
