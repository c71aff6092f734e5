"""Right refusal: who was refused because there was too little saw a version at which there was too little.

Judged where the workload said beforehand what a request would take. The balance at a version is the initial amount and
the changes up to it.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from stockade.lab.checkers.indexed_history import IndexedHistory
from stockade.lab.checkers.violation import Violation
from stockade.lab.history.operation import REFUSED, Operation
from stockade.shop.model.constants import INSUFFICIENT_POINTS, OUT_OF_STOCK

RULE: Final = "right-refusal"
TOO_LITTLE: Final = (OUT_OF_STOCK, INSUFFICIENT_POINTS)


def check(history: IndexedHistory) -> Iterator[Violation]:
    """Report refused requests for which every row had enough."""
    free: dict[tuple[str, int], int] = {}
    for key, lines in history.ledger.items():
        amount, held = history.final.initial.get(key, 0), 0
        free[key, lines[0].version - 1] = amount
        for line in lines:
            amount, held = amount + line.delta, held + line.held
            free[key, line.version] = amount - held
    for operation in history.decided.values():
        if operation.type == REFUSED and operation.code in TOO_LITTLE and _had_enough(history, operation, free):
            key = min(operation.deltas)
            yield Violation(
                RULE,
                f"request {operation.request_id} was refused ({operation.code}), but {_there(operation, free)}",
                key=key,
                version=operation.versions[key],
                request_id=operation.request_id,
                operation=operation.number,
                at_ns=operation.return_ns,
            )


def _had_enough(history: IndexedHistory, operation: Operation, free: Mapping[tuple[str, int], int]) -> bool:
    """Whether it is certain that each row had as much as the request takes; not where something is unknown."""
    takes = {key: -delta for key, delta in operation.deltas.items() if delta < 0}
    if not takes or any(key not in operation.deltas for key in operation.keys if key in history.final.initial):
        return False
    for key, units in takes.items():
        there = free.get((key, operation.versions.get(key, -1)))
        if there is None and key not in history.ledger and key in operation.versions:
            there = history.final.initial.get(key)
        if there is None or there < units:
            return False
    return True


def _there(operation: Operation, free: Mapping[tuple[str, int], int]) -> str:
    texts = []
    for key, delta in operation.deltas.items():
        version = operation.versions.get(key, 0)
        there = free.get((key, version))
        texts.append(
            f"{key} had {'all of its units' if there is None else there} at version {version}, it takes {-delta}"
        )
    return "; ".join(texts)
