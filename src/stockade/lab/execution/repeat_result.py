"""One repeat as the checks see it: what was asked, what the buyers were told, what the database says afterwards."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from stockade.core import Key, Outcome
from stockade.lab.execution.load import ACCEPTED, FAILED, REJECTED, Shot
from stockade.lab.preset import Scene


class Violation(NamedTuple):
    """A broken rule, in words a reader understands without a debugger."""

    rule: str
    detail: str


class Amounts(NamedTuple):
    """A protected row: its amount (stock on hand, balance), the part that is spoken for, its version."""

    amount: int
    held: int
    version: int


class Entry(NamedTuple):
    """A ledger entry."""

    key: Key
    request_id: str
    version: int
    delta: int
    held: int
    amount_after: int
    held_after: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the database holds after a repeat, of that repeat's rows and requests only.

    Attributes:
        rows: the protected rows; a row that does not exist is missing.
        ledger: their entries, in order of key and version.
        orders: ids of the orders that exist.
        requests: the recorded outcome by request id.
    """

    rows: Mapping[Key, Amounts]
    ledger: tuple[Entry, ...]
    orders: frozenset[str]
    requests: Mapping[str, Outcome]


@dataclass(frozen=True, slots=True)
class Trial:
    """One repeat. `refusal` is the only code that a buyer may be refused with."""

    scene: Scene
    refusal: str
    shots: tuple[Shot, ...]
    evidence: Evidence

    @property
    def accepted(self) -> int:
        return self._count(ACCEPTED)

    @property
    def rejected(self) -> int:
        return self._count(REJECTED)

    @property
    def failed(self) -> int:
        return self._count(FAILED)

    @property
    def carried_out(self) -> int:
        """How many different requests were answered with yes: the same request twice is one."""
        return len(self.ids(ACCEPTED))

    @property
    def left(self) -> int:
        """What is not sold, reserved or spent, over all subjects."""
        rows = (self.evidence.rows.get(key) for key in self.scene.subjects)
        return sum(row.amount - row.held for row in rows if row)

    @property
    def wall_ms(self) -> float:
        """From the first command's start to the last answer."""
        began_ns = min(shot.began_ns for shot in self.shots)
        return (max(shot.ended_ns for shot in self.shots) - began_ns) / 1e6

    @property
    def latencies_ms(self) -> list[float]:
        return [(shot.ended_ns - shot.began_ns) / 1e6 for shot in self.shots]

    def ids(self, answer: str) -> set[str]:
        """The request ids that were answered so."""
        return {shot.request_id for shot in self.shots if shot.answer == answer}

    def _count(self, answer: str) -> int:
        return sum(shot.answer == answer for shot in self.shots)
