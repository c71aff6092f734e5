"""No oversell: the running balance of each row is never below zero, nor below the part of it that is held.

The balance is replayed from the changes, not read from what the ledger says it was. A row without a ledger is judged by
the operations: what was accepted is at most what there was.
"""

from collections.abc import Iterator
from typing import Final

from stockade.lab.checkers.indexed_history import IndexedHistory
from stockade.lab.checkers.violation import Violation

RULE: Final = "no-oversell"


def check(history: IndexedHistory) -> Iterator[Violation]:
    """Report the first version of each row at which more was given away than there was."""
    final = history.final
    asked, undeclared = history.asked
    for key, change in asked.items():
        initial = final.initial.get(key)
        if initial is None or key in undeclared:  # a cancellation that gave units back cannot say so beforehand
            continue
        if initial + change < 0:
            yield Violation(RULE, f"{key}: {-change} more were given away than came back, of {initial}", key=key)
    for key, lines in history.ledger.items():
        amount, held = final.initial.get(key, 0), 0
        for line in lines:
            amount, held = amount + line.delta, held + line.held
            if amount < 0 or held < 0 or held > amount:
                text = f"{key}: version {line.version} leaves {amount}, of which {held} are held"
                yield Violation(RULE, text, key=key, version=line.version, request_id=line.request_id)
                break
    for row in final.rows:
        if row.amount < 0 or row.held < 0 or row.held > row.amount:
            yield Violation(RULE, f"{row.key} ended at {row.amount}, of which {row.held} are held", key=row.key)
