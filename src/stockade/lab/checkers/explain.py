"""A part of a history as a table that a person can read: a row's versions, the tries of a request, a client's work.

Times are seconds since the load began. Neighbours: `violation.py` says where something is wrong, `fault_times.py` which
fault was active then.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from stockade.lab.checkers.fault_times import active_faults, fault_times
from stockade.lab.checkers.indexed_history import READ, IndexedHistory
from stockade.lab.checkers.violation import Violation
from stockade.lab.history.final_state import LedgerLine
from stockade.lab.history.operation import OK, Operation

AROUND: Final = 5
MAX_ROWS: Final = 200
HERE: Final = ">"
NONE: Final = "-"
VERSION_HEADS: Final = (
    "",
    "version",
    "change",
    "left",
    "request",
    "operation",
    "client",
    "process",
    "answer",
    "invoked s",
    "returned s",
    "seen by",
    "fault then",
)
OPERATION_HEADS: Final = (
    "",
    "operation",
    "client",
    "process",
    "command",
    "request",
    "answer",
    "versions",
    "invoked s",
    "returned s",
    "fault then",
)
RIGHT: Final = ("version", "change", "left", "operation", "client", "invoked s", "returned s")


class Table(NamedTuple):
    """A title, the heads of the columns, and the cells as text."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


def explain(history: IndexedHistory, violation: Violation, around: int = AROUND) -> list[Table]:
    """What belongs to a violation: its row around the version, the tries of its request.

    Args:
        history: that has it.
        violation: one that a checker found.
        around: versions (or operations) before and after.
    """
    tables = []
    if violation.key:
        tables.append(versions_around(history, violation.key, violation.version, around))
    if violation.request_id in history.tries:
        tables.append(tries_of(history, violation.request_id))
    elif violation.operation >= 0 and not violation.request_id:
        near = [each for each in history.history.operations if abs(each.number - violation.operation) <= around]
        tables.append(_operations(history, f"operations around {violation.operation}", near, violation.operation))
    return [table for table in tables if table.rows]


def versions_around(history: IndexedHistory, key: str, version: int, around: int = AROUND) -> Table:
    """The entries of a row around a version, who wrote each, and how many saw it.

    Args:
        history: that has the row.
        key: of the row, as `stock:42`.
        version: in the middle; 0: the last ones.
        around: how many before and after.
    """
    lines = list(history.ledger.get(key, ()))
    places = [at for at, line in enumerate(lines) if line.version <= version]
    middle = (places[-1] if places else 0) if version else len(lines)
    shown = lines[max(0, middle - around) : middle + around + 1]
    claims, seen = _claims(history, key, {line.version for line in shown} | {version})
    rows = [_version_row(history, line, here=line.version == version, seen=seen.get(line.version, 0)) for line in shown]
    in_ledger = {(line.version, line.request_id) for line in shown}
    rows += [
        _claim_row(history, key, operation, here=operation.versions[key] == version)
        for operation in claims
        if (operation.versions[key], operation.request_id) not in in_ledger
    ]
    initial = history.final.initial.get(key)
    began = "" if initial is None else f", which began with {initial}"
    return Table(f"{key}{began}", VERSION_HEADS, rows[:MAX_ROWS])


def _claims(history: IndexedHistory, key: str, versions: set[int]) -> tuple[list[Operation], dict[int, int]]:
    """Operations that say that they wrote one of the versions; and how many operations saw each."""
    claims, seen = [], dict[int, int]()
    for operation in history.history.operations:
        version = operation.versions.get(key)
        if version in versions and version is not None:
            if operation.type == OK and operation.command != READ:
                claims.append(operation)
            else:
                seen[version] = seen.get(version, 0) + 1
    return claims, seen


def _version_row(history: IndexedHistory, line: LedgerLine, *, here: bool, seen: int) -> list[str]:
    tries = history.tries.get(line.request_id, ())
    first = history.decided.get(line.request_id, tries[0] if tries else None)
    held = f" ({line.held_after} held)" if line.held_after else ""
    return [
        HERE if here else "",
        str(line.version),
        f"{line.delta:+d}",
        f"{line.amount_after}{held}",
        line.request_id,
        *_who(history, first),
        str(seen or NONE),
        _faults(history, first),
    ]


def _claim_row(history: IndexedHistory, key: str, operation: Operation, *, here: bool) -> list[str]:
    """An operation that says that it wrote a version which is somebody else's."""
    said = [HERE if here else "", str(operation.versions[key]), "said so", NONE, operation.request_id]
    return [*said, *_who(history, operation), NONE, _faults(history, operation)]


def _who(history: IndexedHistory, operation: Operation | None) -> list[str]:
    """Its number, client, process, answer and times."""
    if operation is None:
        return ["not recorded", *[NONE] * 5]
    return [
        str(operation.number),
        str(operation.client),
        operation.process or NONE,
        _answer(operation),
        _seconds(history, operation.invoke_ns),
        _seconds(history, operation.return_ns),
    ]


def _answer(operation: Operation) -> str:
    code = f" {operation.code}" if operation.code else ""
    return f"{operation.type}{code}{' (replayed)' if operation.replayed else ''}"


def _seconds(history: IndexedHistory, at_ns: int) -> str:
    return f"{(at_ns - history.history.phases.warm_ns) / 1e9:.6f}"


def _faults(history: IndexedHistory, operation: Operation | None) -> str:
    if operation is None:
        return NONE
    return ", ".join(_active(history, operation.invoke_ns, operation.return_ns)) or NONE


def _active(history: IndexedHistory, begin_ns: int, end_ns: int) -> list[str]:
    return [each.fault for each in active_faults(fault_times(history.history), begin_ns, end_ns)]


def faults_then(history: IndexedHistory, violation: Violation) -> list[str]:
    """A line for each fault that was active when the violation shows, with what it hit and since when."""
    at_ns = violation.at_ns
    if not at_ns and violation.request_id in history.tries:
        at_ns = history.intervals[violation.request_id].invoke_ns
    if not at_ns:
        return []
    return [
        f"{each.fault}, from {_seconds(history, each.begin_ns)} to {_seconds(history, each.end_ns)} s"
        f"{': ' + each.detail if each.detail else ''}"
        for each in active_faults(fault_times(history.history), at_ns, at_ns)
    ]


def tries_of(history: IndexedHistory, request_id: str) -> Table:
    """Every try of a request, and what is recorded of it."""
    request = history.recorded.get(request_id)
    said = "nothing is recorded of it"
    if request:
        said = f"recorded as {'accepted' if request.accepted else f'refused ({request.code})'}"
    elif not history.final.requests:
        said = "no request of this recording is recorded"
    return _operations(history, f"request {request_id}: {said}", history.tries.get(request_id, ()), -1)


def work_of(history: IndexedHistory, client: int, middle: int = -1, around: int = MAX_ROWS) -> Table:
    """What a client did, in order; around one of its operations, or from its first on.

    Args:
        history: that has the client.
        client: its number.
        middle: number of an operation; -1: none.
        around: how many before and after.
    """
    own = [each for each in history.history.operations if each.client == client]
    if middle >= 0:
        at = next((place for place, each in enumerate(own) if each.number >= middle), len(own))
        own = own[max(0, at - around) : at + around + 1]
    return _operations(history, f"client {client}", own, middle)


def _operations(history: IndexedHistory, title: str, operations: Iterable[Operation], here: int) -> Table:
    rows = [
        [
            HERE if each.number == here else "",
            str(each.number),
            str(each.client),
            each.process or NONE,
            each.command,
            each.request_id or NONE,
            _answer(each),
            _versions(each.versions),
            _seconds(history, each.invoke_ns),
            _seconds(history, each.return_ns),
            _faults(history, each),
        ]
        for each in list(operations)[:MAX_ROWS]
    ]
    return Table(title, OPERATION_HEADS, rows)


def _versions(versions: Mapping[str, int]) -> str:
    return ", ".join(f"{key} {version}" for key, version in versions.items()) or NONE
