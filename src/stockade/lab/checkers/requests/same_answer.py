"""Same answer: each try of a request gets the same decision, also after a restart, and other content is refused.

The first decision of a request counts, and so does the one that is recorded.
"""

from collections.abc import Iterator
from typing import Final

from stockade.core import IdempotencyKeyReused
from stockade.lab.checkers.indexed_history import IndexedHistory
from stockade.lab.checkers.violation import Violation
from stockade.lab.history.operation import OK, REFUSED, Operation

RULE: Final = "same-answer"


def check(history: IndexedHistory) -> Iterator[Violation]:
    """Compare the decisions of every request with each other and with what is recorded."""
    for id_, operations in history.tries.items():
        request = history.recorded.get(id_)
        decision = (request.fingerprint, request.accepted, request.answer, request.code) if request else None
        source = "what is recorded"
        for operation in operations:
            if operation.code == IdempotencyKeyReused.code:
                if request and request.fingerprint == operation.fingerprint:
                    yield _violation(
                        operation, source, "was refused as other content than what is recorded, and is equal"
                    )
                    break
                continue
            if operation.type not in (OK, REFUSED):
                continue
            got = (operation.fingerprint, operation.type == OK, operation.answer, operation.code)
            if decision is not None and got != decision:
                yield _violation(operation, source, _difference(operation, source) if got[0] != decision[0] else "")
                break
            if decision is None:
                decision, source = got, f"operation {operation.number}"


def _difference(operation: Operation, source: str) -> str:
    return f"has other content than {source}, and was decided all the same ({operation.type})"


def _violation(operation: Operation, source: str, text: str) -> Violation:
    text = text or f"got another answer ({operation.type} {operation.code or operation.answer}) than {source}"
    return Violation(
        RULE,
        f"request {operation.request_id} {text}",
        key=operation.keys[0] if operation.keys else "",
        request_id=operation.request_id,
        operation=operation.number,
        at_ns=operation.return_ns,
    )
