"""The result of one repeat, which the checks judge: the workload, the responses, and the database afterwards."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from stockade.core import Key, Outcome
from stockade.lab.model.burst import Burst

ACCEPTED, REJECTED, FAILED, QUEUED = "accepted", "rejected", "failed", "queued"


class Response(NamedTuple):
    """The response to one command.

    Attributes:
        request_id: of the command.
        status: "accepted", "rejected" by the rules, "failed" (no decision), or "queued" (in the log, not yet decided).
        code: why it was rejected or failed; empty if accepted.
        content_hash: hash of the response's data: equal requests must get equal data.
        unexpected_error: the exception, if it is none that the strategies document.
        began_ns: monotonic clock, which all processes of a machine share.
        ended_ns: the same.
        unknown: it failed, and may have been executed nevertheless.
    """

    request_id: str
    status: str
    code: str
    content_hash: str
    unexpected_error: str
    began_ns: int
    ended_ns: int
    unknown: bool = False


class Violation(NamedTuple):
    """A broken rule: its name, and a sentence for the report."""

    rule: str
    detail: str


class RowAmounts(NamedTuple):
    """A protected row: its amount (stock on hand, balance), the part of it that is held, its version."""

    amount: int
    held: int
    version: int


class LedgerEntry(NamedTuple):
    """One change of a row, as the ledger records it."""

    key: Key
    request_id: str
    version: int
    delta: int
    held: int
    amount_after: int
    held_after: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the database contains after a repeat, of that repeat's rows and requests only.

    Attributes:
        rows: the protected rows; a row that does not exist is missing.
        ledger: their entries, in order of key and version.
        orders: ids of the orders that exist.
        requests: the recorded outcome by request id.
    """

    rows: Mapping[Key, RowAmounts]
    ledger: tuple[LedgerEntry, ...]
    orders: frozenset[str]
    requests: Mapping[str, Outcome]


@dataclass(frozen=True, slots=True)
class RepeatResult:
    """One repeat. `allowed_rejection` is the only code that a rejection may have."""

    workload: Burst
    allowed_rejection: str
    responses: tuple[Response, ...]
    snapshot: Snapshot

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
    def executed(self) -> int:
        """How many different requests were accepted: the same request twice is one."""
        return len(self.ids(ACCEPTED))

    @property
    def left(self) -> int:
        """What is not sold, reserved or spent, over all counted rows."""
        rows = (self.snapshot.rows.get(key) for key in self.workload.counted_rows)
        return sum(row.amount - row.held for row in rows if row)

    @property
    def wall_ms(self) -> float:
        """From the first command's start to the last response."""
        began_ns = min(response.began_ns for response in self.responses)
        return (max(response.ended_ns for response in self.responses) - began_ns) / 1e6

    @property
    def latencies_ms(self) -> list[float]:
        return [(response.ended_ns - response.began_ns) / 1e6 for response in self.responses]

    def ids(self, status: str) -> set[str]:
        """The request ids that have a response of this status."""
        return {response.request_id for response in self.responses if response.status == status}

    def _count(self, status: str) -> int:
        return sum(response.status == status for response in self.responses)
