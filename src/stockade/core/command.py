"""A business operation as a value: the rows that it needs, and a pure function that decides."""

from collections.abc import Iterable, Mapping
from typing import Protocol, TypeAlias

from stockade.core.decision import Decision
from stockade.core.key import Key, Row

Rows: TypeAlias = Mapping[Key, Row]


class Command(Protocol):
    """The interface of every command; implementations are frozen dataclasses.

    Attributes:
        name: the operation, e.g. `place_order`; part of the outbox and the metrics.
        strategy_group: commands of one group run under one strategy; the shop has `stock` and `points`.
        request_id: 32 hex digits; a command with the same id is carried out once. Public ids derive from it.
        fingerprint: hash of the canonical content, 1 to 32 characters; the same id with another one is refused.
        now_ms: the caller's wall clock in milliseconds since 1970, so that `decide` needs no clock.
        keys: the rows to load, in any order and possibly repeated (the store sorts and deduplicates).
    """

    @property
    def name(self) -> str: ...
    @property
    def strategy_group(self) -> str: ...
    @property
    def request_id(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def now_ms(self) -> int: ...
    @property
    def keys(self) -> tuple[Key, ...]: ...

    def decide(self, rows: Rows) -> Decision:
        """Decide on the loaded rows: pure and total. No clock, no random numbers, no I/O, no exception."""
        ...


class WithExtraKeys:
    """A command with more keys than it named itself: those that its decision needed."""

    def __init__(self, command: Command, keys: Iterable[tuple[str, str]]) -> None:
        self.command = command
        self.keys: tuple[Key, ...] = (*command.keys, *(Key(*key) for key in keys))
        self.name = command.name
        self.strategy_group = command.strategy_group
        self.request_id = command.request_id
        self.fingerprint = command.fingerprint
        self.now_ms = command.now_ms
        self.decide = command.decide


def merged_keys(commands: Iterable[Command], extra: Iterable[Key] = ()) -> list[Key]:
    """All keys of a batch once each, in the global order. The only place where lock order is made."""
    keys = set(extra)
    for command in commands:
        keys.update(command.keys)
    return sorted(keys)
