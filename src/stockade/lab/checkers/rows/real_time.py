"""Real time of each row: no operation is ordered after one that began when it had returned already.

Versions give the order, so a running maximum over them is enough: linear after sorting, where a search over unversioned
histories is exponential. What was accepted is placed at the version that it wrote, what was refused or read behind the
version that it saw. A request that was tried several times may have been decided from its first invocation on. One that
is still unknown has no return.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from stockade.lab.checkers.indexed_history import READ, IndexedHistory, Interval
from stockade.lab.checkers.violation import Violation
from stockade.lab.history.operation import OK, Operation

RULE: Final = "real-time"
WRITES, SEES = 0, 1  # what saw a version is placed behind the one that wrote it


class Placed(NamedTuple):
    """An operation in the order of a row's versions."""

    version: int
    role: int
    interval: Interval
    operation: Operation


def check(history: IndexedHistory) -> Iterator[Violation]:
    """Report the first operation of each row that is ordered after a later one."""
    for key, order in placed(history).items():
        found = _first_error(order)
        if found:
            before, late = found
            waited_ms = (before.interval.invoke_ns - late.interval.return_ns) / 1e6
            text = (
                f"{key}: {_shown(late)} had returned {waited_ms:.3f} ms before {_shown(before)} began, "
                "but is ordered after it"
            )
            yield Violation(
                RULE,
                text,
                key=key,
                version=late.version,
                request_id=late.operation.request_id,
                operation=late.operation.number,
                at_ns=late.interval.return_ns,
            )


def placed(history: IndexedHistory) -> Mapping[str, list[Placed]]:
    """By row: the operations in the order of its versions, who wrote one before those who saw it."""
    found: dict[str, list[Placed]] = {}

    def put(key: str, version: int, role: int, interval: Interval, operation: Operation) -> None:
        known = found.get(key)
        if known is None:
            known = found[key] = []
        known.append(Placed(version, role, interval, operation))

    intervals = history.intervals
    decided = history.decided
    for operation in decided.values():
        role = WRITES if operation.type == OK else SEES
        for key, version in operation.versions.items():
            put(key, version, role, intervals[operation.request_id], operation)
    for operation in history.history.operations:
        if operation.command == READ and operation.type == OK:
            for key, version in operation.versions.items():
                put(key, version, SEES, Interval(operation.invoke_ns, operation.return_ns), operation)
    for line in history.final.ledger:
        if line.request_id not in decided and line.request_id in intervals:  # no try was answered, and it happened
            operation = history.tries[line.request_id][0]
            put(line.key, line.version, WRITES, intervals[line.request_id], operation)
    for order in found.values():
        order.sort(key=_place)
    return found


def _place(each: Placed) -> tuple[int, int]:
    return each.version, each.role


def _first_error(order: Sequence[Placed]) -> tuple[Placed, Placed] | None:
    """The first that had returned before one began that is placed before it: (the one before, the late one).

    Those that saw one version have no order among each other, so the maximum moves on with the place only.
    """
    latest: Placed | None = None  # of those placed before: the one that began last
    waiting: list[Placed] = []  # at the place of `each`
    for each in order:
        if waiting and _place(waiting[0]) != _place(each):
            latest = max([*([latest] if latest else []), *waiting], key=_began)
            waiting.clear()
        if latest and each.interval.return_ns < latest.interval.invoke_ns:
            return latest, each
        waiting.append(each)
    return None


def _began(each: Placed) -> int:
    return each.interval.invoke_ns


def _shown(each: Placed) -> str:
    operation = each.operation
    verb = "wrote" if each.role == WRITES else "saw"
    return f"operation {operation.number} ({operation.command}, client {operation.client}, {verb} {each.version})"
