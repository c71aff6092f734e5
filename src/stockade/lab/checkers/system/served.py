"""Served: what nothing disturbs is decided, nearly always at once, and every request in the end.

A strategy that refuses to serve breaks no row. So the tries that overlap no fault, nor the time that its healing may
take, are counted: `served_share` of the settings says which share of them must be decided. The end of a recording sends
again what is undecided, when every fault is healed; what it could not bring to a decision is a violation.
"""

from collections.abc import Iterator
from typing import Final

from stockade.core import IdempotencyKeyReused
from stockade.lab.checkers.fault_times import active_faults, disturbed_times
from stockade.lab.checkers.indexed_history import READ, IndexedHistory
from stockade.lab.checkers.lateness import late_ns
from stockade.lab.checkers.violation import Violation
from stockade.lab.history.operation import OK, REFUSED, UNKNOWN, Operation

RULE: Final = "served"
UNDECIDED: Final = "undecided"  # in `FinalState.extra`: requests that the end of the recording could not decide
LEAST_TRIES: Final = 20  # a share of fewer says little
NO_ANSWER: Final = "NO_ANSWER"


def check(history: IndexedHistory) -> Iterator[Violation]:
    """Report too small a share, the first request that was never answered, and what stayed undecided."""
    times = disturbed_times(history.history)
    operations = history.history.operations
    undisturbed = [each for each in operations if not active_faults(times, each.invoke_ns, each.return_ns)]
    yield from _silent(history, [each for each in undisturbed if each.type == UNKNOWN and each.code == NO_ANSWER])
    yield from _share(history, [each for each in undisturbed if each.command != READ and each.request_id])
    yield from _undecided(history)


def _silent(history: IndexedHistory, operations: list[Operation]) -> Iterator[Violation]:
    """The first that was never answered; one that the machine explains, which was late for most of it, comes last."""

    def machine_was_late(operation: Operation) -> bool:
        begin_ns, end_ns = operation.invoke_ns, operation.return_ns
        return late_ns(history.final, begin_ns, end_ns, operation.process) > (end_ns - begin_ns) / 2

    if operations:
        first = min(operations, key=machine_was_late)
        text = f"operation {first.number} ({first.command}) was never answered, and no fault was active"
        yield _violation(text, first, about_time=machine_was_late(first))


def _share(history: IndexedHistory, tries: list[Operation]) -> Iterator[Violation]:
    stated = history.history.settings.get("served_share")
    if not isinstance(stated, int | float) or len(tries) < LEAST_TRIES:
        return
    left = [each for each in tries if not is_decided(each)]
    decided = len(tries) - len(left)
    if decided < stated * len(tries):
        codes = ", ".join(sorted({each.code for each in left}))
        text = f"{decided} of {len(tries)} tries that nothing disturbed were decided, {stated:.0%} must be ({codes})"
        yield _violation(text, left[0], about_time=True)


def _undecided(history: IndexedHistory) -> Iterator[Violation]:
    """Judged where the recording tried to decide everything at its end."""
    count = history.final.extra.get(UNDECIDED)
    if not isinstance(count, int):
        return
    if count:
        yield Violation(RULE, f"{count} requests were still undecided long after every fault was healed")
    for id_, tries in history.tries.items():
        if not any(map(is_decided, tries)):
            yield _violation(f"request {id_} was never decided, in {len(tries)} tries", tries[-1])


def is_decided(operation: Operation) -> bool:
    """Whether it has a decision; that its id was used before with other content is one."""
    return operation.type in (OK, REFUSED) or operation.code == IdempotencyKeyReused.code


def _violation(text: str, operation: Operation, *, about_time: bool = False) -> Violation:
    return Violation(
        RULE,
        text,
        key=operation.keys[0] if operation.keys else "",
        request_id=operation.request_id,
        operation=operation.number,
        at_ns=operation.return_ns,
        about_time=about_time,
    )
