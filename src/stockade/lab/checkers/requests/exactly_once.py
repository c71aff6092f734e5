"""Exactly once: what was accepted is recorded once and moved its rows, what was refused moved nothing.

An unknown or failed operation is judged by what is recorded: it may have happened at most once, and a failed one not
at all. Some try has recorded the decision: one that had begun when the decision was first known, and that says so, or
is unknown, or got a replayed decision while its process had lost the reply to a commit (the store resolves that by
itself, and finds its own decision). If every other try that reached a process failed for certain, one of them has lied.
A command log is read again after a crash, so there a replayed decision may always be of the same try.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final

from stockade.core import IdempotencyKeyReused
from stockade.lab.checkers.indexed_history import NEVER, IndexedHistory
from stockade.lab.checkers.violation import Violation
from stockade.lab.history.operation import FAILED, OK, PROCESS_AWAY, REFUSED, UNKNOWN, Operation

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
    """Requests that are recorded, although each try that can have recorded it failed for certain."""
    doubtful = {id_: own for id_, operations in history.tries.items() if (own := _without_its_decision(operations))}
    known_ns = _known_ns(history, doubtful) if doubtful else {}
    for id_, own in doubtful.items():
        by_ns = known_ns[id_]
        in_time = [each for each in own if each.invoke_ns <= by_ns < NEVER]
        if in_time and not any(_may_have_recorded(each) for each in in_time):
            failed = next((each for each in in_time if each.type == FAILED), None)
            if failed is None:
                continue  # it was recorded before anybody had sent it: `real_time` says so
            text = (
                f"request {id_} failed ({failed.code}), which says that nothing happened, but its decision was recorded"
            )
            yield Violation(RULE, text, request_id=id_, operation=failed.number, at_ns=failed.return_ns)


def _without_its_decision(operations: Sequence[Operation]) -> Sequence[Operation]:
    """The tries that had the request, if one of them failed and none of them says that it was the one that recorded it.

    Empty otherwise: then no failure can be a lie, or there is but this one try.
    """
    if len(operations) < 2:
        return ()
    own = [each for each in operations if each.code not in (IdempotencyKeyReused.code, PROCESS_AWAY)]
    if any(each.type in (OK, REFUSED) and not each.replayed for each in own):
        return ()
    return own if 0 < sum(each.type == FAILED for each in own) < len(own) else ()


def _may_have_recorded(operation: Operation) -> bool:
    """Whether a try can have recorded the decision; a replayed one only if it may have lost the reply to a commit."""
    return operation.type == UNKNOWN or (operation.type != FAILED and operation.in_doubt)


def _known_ns(history: IndexedHistory, requests: Container[str]) -> Mapping[str, int]:
    """Of these requests: when the decision was certainly recorded; `NEVER` if nothing shows it.

    Somebody was told the decision, or had seen a version of a row that this request or a later one had written.
    """
    changes = [line for line in history.final.ledger if line.request_id in requests]
    rows = {line.key for line in changes}
    seen: dict[str, list[tuple[int, int]]] = {key: [] for key in rows}
    found: dict[str, int] = defaultdict(lambda: NEVER)
    for each in history.history.operations:
        for key in rows & each.versions.keys():
            seen[key].append((each.versions[key], each.return_ns))
        if each.request_id in requests and each.type in (OK, REFUSED) and each.code != IdempotencyKeyReused.code:
            found[each.request_id] = min(found[each.request_id], each.return_ns)
    for some in seen.values():
        some.sort(reverse=True)  # from the last version on, so that the minimum so far is that of all later ones
    first = {key: list(accumulate((at for _, at in some), min)) for key, some in seen.items()}
    for line in changes:
        later = bisect_right(seen[line.key], -line.version, key=lambda each: -each[0])
        if later:
            found[line.request_id] = min(found[line.request_id], first[line.key][later - 1])
    return found


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
