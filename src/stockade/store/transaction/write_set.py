"""What a batch decided: everything that its transaction writes, and the answer of each command. Values only.

Neighbours: `decide` makes it, `save` and `single_statement` write it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias

from stockade.core import Command, Key, Outcome, Row


@dataclass(frozen=True, slots=True)
class MissingKeys:
    """The answer of a command that cannot be decided in this batch: it runs again, in a transaction of its own.

    Attributes:
        keys: rows to load as well; empty in NEXT_TRANSACTION.
    """

    keys: tuple[Key, ...]


# No row is missing: the command waits for what this batch writes, and the next transaction decides it.
NEXT_TRANSACTION: Final = MissingKeys(())

Answer: TypeAlias = Outcome | Exception | MissingKeys


@dataclass(slots=True)
class RowUpdate:
    """A row that the batch changes.

    Attributes:
        before: as it was loaded.
        after: as it is written.
        delta: sum of the changes of its first counter.
        held: the same of its second counter.
        count: number of changes.
        only_counters: nothing but the counters changes, so that a conditional UPDATE may move them.
        last_command: the last command that changed it.
        event_count: how many events that command has of its own.
    """

    before: Row
    after: Row
    delta: int = 0
    held: int = 0
    count: int = 0
    only_counters: bool = True
    last_command: Command | None = None
    event_count: int = 0


class Overwrite(NamedTuple):
    """A record that replaces the one with the same primary key; or, without `replaces`, only deletes it."""

    table: str
    values: Mapping[str, Any]
    replaces: bool


@dataclass(slots=True)
class WriteSet:
    """Everything that one transaction writes, and the answer of each command in command order.

    Attributes:
        answers: of the commands.
        updates: changed rows.
        requests: records of the table `requests`: claims of the request ids, with their outcomes.
        ledger: records of the table `ledger`.
        outbox: records of the table `outbox`.
        inserts: other new records by table.
        overwrites: replaced and deleted records, in command order.
        json_values: data of outcomes and bodies of events, which must be JSON.
        replays: how many answers were recorded before.
        inserted_keys: (kind, id) of protected rows among `inserts`.
        decide_again: decides the same commands where these rows are the true ones.
    """

    answers: list[Answer] = field(default_factory=list)
    updates: dict[Key, RowUpdate] = field(default_factory=dict)
    requests: list[dict[str, Any]] = field(default_factory=list)
    ledger: list[dict[str, Any]] = field(default_factory=list)
    outbox: list[dict[str, Any]] = field(default_factory=list)
    inserts: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    overwrites: list[Overwrite] = field(default_factory=list)
    json_values: list[Any] = field(default_factory=list)
    replays: int = 0
    inserted_keys: set[tuple[str, str]] = field(default_factory=set)
    decide_again: Callable[[Mapping[Key, Row]], "WriteSet"] | None = None

    @property
    def replaces_records(self) -> bool:
        """Whether a record replaces another one. Then the next batch must begin after the commit: its DELETE sees only
        what was committed when the statement began, and would miss the new record."""
        return any(each.replaces for each in self.overwrites)
