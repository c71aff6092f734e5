"""Nothing unexpected: each error is one that the strategies document, no process ended by itself or printed an error.

And the application's own audit found nothing.
"""

from collections.abc import Iterator
from typing import Final

from stockade.lab.checkers.indexed_history import IndexedHistory
from stockade.lab.checkers.violation import Violation

RULE: Final = "unexpected"
ENDS: Final = "ends"  # in `FinalState.extra`: place, moment, exit code and output of processes that no fault had ended
ERRORS: Final = "errors"  # the same: place, and what it printed of an error, or how else it failed


def check(history: IndexedHistory) -> Iterator[Violation]:
    """Report what the audit found, and the first of each kind of error."""
    for rule, detail in history.final.audit:
        yield Violation(RULE, f"the audit: {rule}: {detail}")
    yield from _processes(history)
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


def _processes(history: IndexedHistory) -> Iterator[Violation]:
    """Ends of processes, that they serve nobody, and errors that they printed: nobody else is told of those."""
    ends, errors = (history.final.extra.get(name) for name in (ENDS, ERRORS))
    for end in ends if isinstance(ends, list) else ():
        match end:
            case [str(place), int(at_ns), code, str(text)]:
                last = f", its last output: {text}" if text else ""
                yield Violation(RULE, f"{place} ended by itself (exit code {code}){last}", at_ns=at_ns)
    for error in errors if isinstance(errors, list) else ():
        match error:
            case [str(place), str(text)]:
                yield Violation(RULE, f"{place} {text}")
