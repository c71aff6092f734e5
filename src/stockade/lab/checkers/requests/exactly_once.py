"""Exactly once: what was accepted is recorded once and moved its rows, what was refused moved nothing.

An unknown or failed operation is judged by what is recorded: it may have happened at most once, and a failed one not
at all. A decision that was recorded before some try must be of another one: if each of the others that reached a
process failed for certain, one of them has lied. A command log is read again after a crash, so there it may be of the
same try.
"""

from collections.abc import Iterator
from typing import Final

from stockade.core import IdempotencyKeyReused
from stockade.lab.checkers.indexed_history import IndexedHistory
from stockade.lab.checkers.violation import Violation
from stockade.lab.history.operation import FAILED, OK, PROCESS_AWAY, REFUSED, Operation

RULE: Final = "exactly-once"


def check(history: IndexedHistory) -> Iterator[Violation]:
    """Compare every answer with the recorded requests, the ledger and the versions it names."""
    yield from _recorded_twice(history)
    yield from _moved_twice(history)
    if not history.has_log:
        yield from _failed_and_happened(history)
    moved = {line.request_id for line in history.final.ledger}
    for id_, operations in history.tries.items():
        for operation in operations:
            text = _wrong(history, operation, id_ in moved)
            if text:
                where = operation.keys[0] if operation.keys else ""
                yield Violation(
                    RULE,
                    f"request {id_} {text}",
                    key=where,
                    version=operation.versions.get(where, 0),
                    request_id=id_,
                    operation=operation.number,
                    at_ns=operation.return_ns,
                )
                break
    for id_, request in history.recorded.items():
        if id_ not in history.tries:
            yield Violation(RULE, f"request {id_} is recorded, and no client sent it", request_id=id_)
        elif not request.accepted and id_ in moved:
            yield Violation(RULE, f"request {id_} is recorded as refused, but moved a row", request_id=id_)
    for line in history.final.ledger:
        if line.request_id not in history.recorded and line.request_id in history.tries:
            text = f"version {line.version} of {line.key} belongs to request {line.request_id}, which is not recorded"
            yield Violation(RULE, text, key=line.key, version=line.version, request_id=line.request_id)
        elif line.request_id not in history.tries:
            text = f"version {line.version} of {line.key} belongs to request {line.request_id}, which no client sent"
            yield Violation(RULE, text, key=line.key, version=line.version, request_id=line.request_id)


def _wrong(history: IndexedHistory, operation: Operation, moved: bool) -> str:
    """What is wrong with one answer; empty if nothing is."""
    request = history.recorded.get(operation.request_id)
    if operation.type == OK:
        if request is None:
            return "was accepted, but is not recorded"
        if not request.accepted:
            return f"was accepted, but is recorded as refused ({request.code})"
        return "was accepted, but moved no row" if operation.versions and not moved else ""
    if operation.type == REFUSED and operation.code != IdempotencyKeyReused.code:
        if request is None:
            return f"was refused ({operation.code}), but that is not recorded"
        if request.accepted:
            return f"was refused ({operation.code}), but is recorded as accepted"
        return f"was refused ({operation.code}), but moved a row" if moved else ""
    if operation.type == FAILED and moved and all(each.type == FAILED for each in history.tries[operation.request_id]):
        return f"failed ({operation.code}), which says that nothing happened, but moved a row"
    return ""


def _failed_and_happened(history: IndexedHistory) -> Iterator[Violation]:
    for id_, operations in history.tries.items():
        if len(operations) < 2:
            continue
        own = [each for each in operations if each.code not in (IdempotencyKeyReused.code, PROCESS_AWAY)]
        decided = [each for each in own if each.type in (OK, REFUSED)]
        certain = all(each.type == FAILED for each in own if each not in decided)
        if certain and decided and all(each.replayed for each in decided) and len(own) > len(decided):
            failed = next(each for each in own if each.type == FAILED)
            text = (
                f"request {id_} failed ({failed.code}), which says that nothing happened, but its decision was recorded"
            )
            yield Violation(RULE, text, request_id=id_, operation=failed.number, at_ns=failed.return_ns)


def _recorded_twice(history: IndexedHistory) -> Iterator[Violation]:
    seen = set()
    for request in history.final.requests:
        if request.request_id in seen:
            text = f"request {request.request_id} is recorded more than once"
            yield Violation(RULE, text, request_id=request.request_id)
        seen.add(request.request_id)


def _moved_twice(history: IndexedHistory) -> Iterator[Violation]:
    """A request changes each row at most once, in one transaction."""
    seen = set()
    for line in history.final.ledger:
        change = (line.request_id, line.key)
        if change in seen:
            text = f"request {line.request_id} moved {line.key} more than once, at last in version {line.version}"
            yield Violation(RULE, text, key=line.key, version=line.version, request_id=line.request_id)
        seen.add(change)
