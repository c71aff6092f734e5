"""Nothing unexpected: each error is one that the strategies document, and the application's own audit found nothing."""

from collections.abc import Iterator
from typing import Final

from stockade.lab.checkers.indexed_history import IndexedHistory
from stockade.lab.checkers.violation import Violation

RULE: Final = "unexpected"


def check(history: IndexedHistory) -> Iterator[Violation]:
    """Report what the audit found, and the first of each kind of error."""
    for rule, detail in history.final.audit:
        yield Violation(RULE, f"the audit: {rule}: {detail}")
    seen = set()
    for operation in history.history.operations:
        kind = operation.unexpected.partition(":")[0]
        if kind and kind not in seen:
            seen.add(kind)
            yield Violation(
                RULE,
                f"operation {operation.number} ({operation.command}) ended with {operation.unexpected}",
                key=operation.keys[0] if operation.keys else "",
                request_id=operation.request_id,
                operation=operation.number,
                at_ns=operation.return_ns,
            )
