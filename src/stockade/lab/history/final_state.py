"""What the servers contain when a recording has ended: values that the checkers compare with the operations."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from stockade.core import JsonValue


class FinalRow(NamedTuple):
    """A protected row: its two counters (stock on hand and reserved; balance and held) and its version."""

    key: str
    amount: int
    held: int
    version: int


class LedgerLine(NamedTuple):
    """One entry of the ledger: one request changed one row."""

    key: str
    version: int
    request_id: str
    delta: int
    held: int
    amount_after: int
    held_after: int


class RecordedRequest(NamedTuple):
    """A row of the requests: what was recorded as the outcome. `answer` is hashed as in `Operation.answer`."""

    request_id: str
    fingerprint: str
    accepted: bool
    code: str
    answer: str


class OrderLine(NamedTuple):
    """An order: its state now, the states that it had (oldest first), and its approved payments."""

    order_id: str
    status: str
    states: tuple[str, ...]
    payments: int


class OutboxLine(NamedTuple):
    """An event in the outbox. `sequence` is its place among the events of its key."""

    event_id: str
    request_id: str
    kind: str
    key: str
    sequence: int


class Delivery(NamedTuple):
    """An event that a sink has received, in the order of receipt."""

    event_id: str
    key: str
    sequence: int


class LogRecord(NamedTuple):
    """A record of the command log: its place, and the request."""

    partition: int
    offset: int
    request_id: str


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What the processes hold before and after the recording, and what a database or Redis would keep for ever.

    Counters have names: open requests, tasks, threads, files, queued commands, and callers who wait for a connection.

    Attributes:
        before: taken when everything was open and had been used; where something is opened when it is first needed, the
            higher of that and of the end of the fault-free load.
        after: taken when the last operation had returned, after a bounded wait.
        lock_keys_without_expiry: lock keys in Redis that would stay for ever.
        keys_not_free: rows whose lock could not be taken within its lease and a second.
        highest: of queues, by name: the most that was in them at any time, of open requests the most of a sample.
        bounds: by the same names: what they may contain.
        may_grow: by the names of `after`: by how much it may exceed `before`, where a pool with a bound grows when it
            is needed; a leak with each operation exceeds that soon.
    """

    before: Mapping[str, int] = field(default_factory=dict)
    after: Mapping[str, int] = field(default_factory=dict)
    lock_keys_without_expiry: tuple[str, ...] = ()
    keys_not_free: tuple[str, ...] = ()
    highest: Mapping[str, int] = field(default_factory=dict)
    bounds: Mapping[str, int] = field(default_factory=dict)
    may_grow: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FinalState:
    """Everything that is read after the last operation, of the rows and requests of this recording only.

    Attributes:
        initial: amounts of the rows before the first operation, by key; what `setup` made.
        rows: the rows.
        ledger: by key and version, without the entries of `setup` where `initial` contains them already.
        requests: recorded outcomes.
        orders: of this recording.
        outbox: events of this recording, those that were sent already included.
        deliveries: what the sink received; empty if the recording had none.
        log: the records of the command log; empty without one.
        leftovers: what was left behind.
        audit: violations that the application's own audit found, as (rule, detail).
        extra: what else the lab has noted, by names that are constants of the checkers which ask for it.
    """

    initial: Mapping[str, int] = field(default_factory=dict)
    rows: tuple[FinalRow, ...] = ()
    ledger: tuple[LedgerLine, ...] = ()
    requests: tuple[RecordedRequest, ...] = ()
    orders: tuple[OrderLine, ...] = ()
    outbox: tuple[OutboxLine, ...] = ()
    deliveries: tuple[Delivery, ...] = ()
    log: tuple[LogRecord, ...] = ()
    leftovers: Leftovers = field(default_factory=Leftovers)
    audit: tuple[tuple[str, str], ...] = ()
    extra: Mapping[str, JsonValue] = field(default_factory=dict)
