"""A history with what several checkers look up: the ledger by row, the tries of a request, what was carried out.

Each table is made when a checker first asks for it. Neighbour: `history/` has the values.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Final, NamedTuple

from stockade.core import IdempotencyKeyReused
from stockade.lab.history.final_state import LedgerLine, RecordedRequest
from stockade.lab.history.history import History
from stockade.lab.history.operation import OK, REFUSED, Operation

READ: Final = "read"
KAFKA: Final = "kafka"  # the strategy with a command log
NEVER: Final = 2**63 - 1  # later than every time of the monotonic clock


class Interval(NamedTuple):
    """When a request may have been decided: after its first invocation, before the first return of a decision."""

    invoke_ns: int
    return_ns: int


class IndexedHistory:
    """One history and its tables.

    Args:
        history: what is judged.
    """

    def __init__(self, history: History) -> None:
        self.history = history
        self.final = history.final

    @cached_property
    def tries(self) -> Mapping[str, Sequence[Operation]]:
        """The operations of each request, in the order of the history; reads are no requests."""
        found: dict[str, list[Operation]] = {}
        for operation in self.history.operations:
            if operation.command != READ and operation.request_id:
                known = found.get(operation.request_id)
                if known is None:
                    found[operation.request_id] = [operation]
                else:
                    known.append(operation)
        return found

    @cached_property
    def recorded(self) -> Mapping[str, RecordedRequest]:
        """What is recorded of each request; the last where there are several."""
        return {each.request_id: each for each in self.final.requests}

    @cached_property
    def has_log(self) -> bool:
        """Whether the commands went through a command log."""
        return self.history.strategy.partition(":")[0] == KAFKA

    @cached_property
    def ledger(self) -> Mapping[str, Sequence[LedgerLine]]:
        """The entries of each row, by version; those of equal version in the order of the history."""
        found: dict[str, list[LedgerLine]] = {}
        for line in self.final.ledger:
            known = found.get(line.key)
            if known is None:
                found[line.key] = [line]
            else:
                known.append(line)
        for lines in found.values():
            lines.sort(key=_version)
        return found

    @cached_property
    def accepted(self) -> frozenset[str]:
        """Requests that were certainly carried out: somebody was told so, or it is recorded."""
        told = {each.request_id for each in self.history.operations if each.type == OK and each.command != READ}
        return frozenset(told | {id_ for id_, request in self.recorded.items() if request.accepted})

    @cached_property
    def asked(self) -> tuple[Mapping[str, int], frozenset[str]]:
        """By row: the sum of what accepted requests asked for; and the rows that some changed without saying it."""
        asked: dict[str, int] = {}
        undeclared: set[str] = set()
        for id_ in self.accepted:
            operations = self.tries.get(id_)
            if operations is None:
                continue
            deltas = operations[0].deltas
            for key, delta in deltas.items():
                asked[key] = asked.get(key, 0) + delta
            for operation in operations:
                undeclared.update([key for key in operation.versions if key not in deltas])
            if not deltas:
                undeclared.update(operations[0].keys)
        silent = {id_ for id_, operations in self.tries.items() if not operations[0].deltas}
        lines = [each for each in self.final.ledger if each.request_id in silent or each.request_id not in self.tries]
        undeclared.update([each.key for each in lines])
        return asked, frozenset(undeclared)

    @cached_property
    def decided(self) -> Mapping[str, Operation]:
        """Of each request that was ever answered by a decision: the operation that had it first."""
        found: dict[str, Operation] = {}
        for operation in self.history.operations:
            is_decided = operation.type in (OK, REFUSED) and operation.command != READ and operation.request_id
            if is_decided and _is_its_own(operation):
                known = found.get(operation.request_id)
                if known is None or operation.return_ns < known.return_ns:
                    found[operation.request_id] = operation
        return found

    @cached_property
    def intervals(self) -> Mapping[str, Interval]:
        """Of each request; one without a decision is open until the end."""
        found = {}
        for id_, operations in self.tries.items():
            first = self.decided.get(id_)
            invoke_ns = operations[0].invoke_ns
            if len(operations) > 1:
                invoke_ns = min(each.invoke_ns for each in operations)
            found[id_] = Interval(invoke_ns, NEVER if first is None else first.return_ns)
        return found


def _is_its_own(operation: Operation) -> bool:
    """Whether the answer is about this request, and not about another one of the same id."""
    return operation.code != IdempotencyKeyReused.code


def _version(line: LedgerLine) -> int:
    return line.version
