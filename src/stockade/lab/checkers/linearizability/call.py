"""Calls of one object (a register or a lock) as the search and porcupine take them, made from a history.

A history without versions names its actions by the commands `write`, `read`, `compare_and_set`, `acquire` and
`release`: `fingerprint` is the argument (of a lock: the owner), `answer` the result. In a history with versions each
write of version 3 is a `compare_and_set` from 2 to 3, and whoever saw version 3 is a `read` of 3; the versioned check
does not need it, but a second opinion can be had.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from stockade.lab.checkers.indexed_history import NEVER, IndexedHistory
from stockade.lab.checkers.rows.real_time import WRITES, placed
from stockade.lab.history.operation import FAILED, OK, UNKNOWN, Operation

WRITE, READ, COMPARE_AND_SET, ACQUIRE, RELEASE = "write", "read", "compare_and_set", "acquire", "release"
REGISTER_ACTIONS: Final = (WRITE, READ, COMPARE_AND_SET)
LOCK_ACTIONS: Final = (ACQUIRE, RELEASE)
BETWEEN: Final = ">"  # of a comparison: what is expected, and what is set


class Call(NamedTuple):
    """One call of one object.

    Attributes:
        number: of the operation in the history.
        client: that called.
        action: one of the constants above.
        argument: the value that is written, `expected>new`, or the owner of a lock.
        result: the value that was read; empty for other actions.
        ok: False if it was refused: a comparison that did not hold, a lock that another owner had.
        known: False if it may never have happened.
        invoke_ns: monotonic clock.
        return_ns: the same; `NEVER` without an answer.
    """

    number: int
    client: int
    action: str
    argument: str
    result: str
    ok: bool
    known: bool
    invoke_ns: int
    return_ns: int


class ObjectCalls(NamedTuple):
    """The calls of one object, by invocation, and its value before them (empty for a lock that is free)."""

    key: str
    initial: str
    calls: Sequence[Call]


def unversioned_calls(history: IndexedHistory) -> list[ObjectCalls]:
    """The calls of the objects without versions; none for a history of requests."""
    found: dict[str, list[Call]] = {}
    for operation in history.history.operations:
        is_one = operation.command in (*REGISTER_ACTIONS, *LOCK_ACTIONS) and not operation.versions and operation.keys
        if is_one and operation.type != FAILED and not (operation.command == READ and operation.type == UNKNOWN):
            found.setdefault(operation.keys[0], []).append(_call(operation))
    only_reads = {key for key, calls in found.items() if all(call.action == READ for call in calls)}
    return [_sorted(key, "", calls) for key, calls in found.items() if key not in only_reads]


def _call(operation: Operation) -> Call:
    locks = operation.command in LOCK_ACTIONS
    known = operation.type != UNKNOWN
    return Call(
        operation.number,
        operation.client,
        operation.command,
        operation.fingerprint or (f"client {operation.client}" if locks else ""),
        operation.answer if operation.command == READ else "",
        operation.type in (OK, UNKNOWN),
        known,
        operation.invoke_ns,
        operation.return_ns if known else NEVER,
    )


def versioned_calls(history: IndexedHistory) -> list[ObjectCalls]:
    """Each row of a history with versions as a register that contains its version."""
    found = []
    for key, order in placed(history).items():
        lines = history.ledger.get(key)
        seen = [each.version for each in order]
        initial = lines[0].version - 1 if lines else min(seen)
        calls = []
        for version, role, interval, operation in order:
            action, argument, result = READ, "", str(version)
            if role == WRITES:
                action, argument, result = COMPARE_AND_SET, f"{version - 1}{BETWEEN}{version}", ""
            calls.append(Call(operation.number, operation.client, action, argument, result, True, True, *interval))
        found.append(_sorted(key, str(initial), calls))
    return found


def _sorted(key: str, initial: str, calls: Sequence[Call]) -> ObjectCalls:
    return ObjectCalls(key, initial, sorted(calls, key=lambda each: (each.invoke_ns, each.number)))


def is_lock(calls: ObjectCalls) -> bool:
    """Whether the object is a lock, not a register."""
    return any(call.action in LOCK_ACTIONS for call in calls.calls)
