"""What a command decided: its outcome, and everything that is written for it. Values only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from stockade.core.key import Key

JsonValue: TypeAlias = "str | int | float | bool | None | Sequence[JsonValue] | Mapping[str, JsonValue]"


MAX_EXTRA_KEY_ROUNDS = 3  # how often one command may ask for more rows


class Accepted(NamedTuple):
    """The command was carried out. `data` is the answer to the caller (JSON values only).

    `versions` has the versions that the command produced. `replayed` is True for a recorded outcome that is returned to
    a repeated request.
    """

    data: Mapping[str, JsonValue]
    versions: Mapping[str, int] = {}
    replayed: bool = False
    accepted: bool = True


class Rejected(NamedTuple):
    """The rules say no, with a code of the API's vocabulary (`OUT_OF_STOCK`, …). A value: recorded and replayed.

    `versions` names the versions of the rows on which it was decided.
    """

    code: str
    data: Mapping[str, JsonValue] = {}
    versions: Mapping[str, int] = {}
    replayed: bool = False
    accepted: bool = False


Outcome: TypeAlias = Accepted | Rejected
CommandResult: TypeAlias = Outcome | Exception  # what a store returns for each command


class Change(NamedTuple):
    """The new state of one row, and by how much its two counters moved.

    `delta` belongs to the resource's first counter (stock on hand, points balance), `held` to its second
    (reserved, held). Each change becomes one ledger entry; `note` says why, `ref` names the order or charge.
    """

    state: Any
    delta: int = 0
    held: int = 0
    note: str = ""
    ref: str = ""


class Insert(NamedTuple):
    """A new record in a table that is not protected by key. `replace` overwrites a record of the same primary key.

    `values` is written as it is when the batch is: nobody may change it after the decision.
    """

    table: str
    values: Mapping[str, Any]
    replace: bool = False


class Delete(NamedTuple):
    """Remove the record whose columns equal `values` (they name the table's primary key); absent is fine.

    The table is not protected by key: a guarded row stays, and a column of its state says that it is over.
    """

    table: str
    values: Mapping[str, Any]


class Event(NamedTuple):
    """A fact for the outside, stored in the outbox by the same transaction. `key` orders events among themselves."""

    kind: str
    key: Key
    body: Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Decision:
    """The whole answer of `Command.decide`. Of one that rejects, only outcome, inserts and events are written.

    Either `outcome` is set, or `need_keys` names rows that must be loaded too, and the command is decided anew
    with the union (at most MAX_EXTRA_KEY_ROUNDS times).
    """

    outcome: Outcome | None = None
    changes: Mapping[Key, Change] = field(default_factory=dict)
    inserts: Sequence[Insert] = ()
    deletes: Sequence[Delete] = ()
    events: Sequence[Event] = ()
    need_keys: Sequence[Key] = ()
