"""A history as a file of JSON lines, to keep and to judge again.

The first line is the header with the names of the fields of each kind of line; then the operations, the fault log, the
accesses and the final state follow, an array for each: `["operation", [0, 3, "service-1", …]]`. The last line says how
many there are, so that a file that was cut off is noticed. docs/lab.md describes the format. Neighbour: `history.py`.
"""

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import IO, Any, Final, get_type_hints

import msgspec

from stockade.lab.errors import LabError
from stockade.lab.history.final_state import (
    Delivery,
    FinalRow,
    FinalState,
    LedgerLine,
    Leftovers,
    LogRecord,
    OrderLine,
    OutboxLine,
    RecordedRequest,
)
from stockade.lab.history.history import History, Phases
from stockade.lab.history.operation import TYPES, FaultEvent, LockAccess, Operation
from stockade.lab.whole_file import replacing

SCHEMA: Final = "stockade.lab/3"
KINDS: Final[dict[str, Any]] = {  # in the order of the file
    "operation": Operation,
    "fault": FaultEvent,
    "access": LockAccess,
    "row": FinalRow,
    "ledger": LedgerLine,
    "request": RecordedRequest,
    "order": OrderLine,
    "event": OutboxLine,
    "delivery": Delivery,
    "record": LogRecord,
}
COLUMNS: Final = {kind: list(value._fields) for kind, value in KINDS.items()}
IN_FINAL: Final = {  # kinds of lines that are a member of the final state
    "row": "rows",
    "ledger": "ledger",
    "request": "requests",
    "order": "orders",
    "event": "outbox",
    "delivery": "deliveries",
    "record": "log",
}
SINGLE: Final = ("initial", "leftovers", "audit", "extra")  # members of the final state in one line
SHARED: Final = ("operation", "ledger", "request")  # kinds of which there are many, with texts of others
MAX_LINE_BYTES: Final = 64_000_000
MAX_LINES_AT_ONCE: Final = 4_096


class _Single(msgspec.Struct):
    """The members of the final state that stand in one line."""

    initial: dict[str, int]
    leftovers: Leftovers
    audit: tuple[tuple[str, str], ...]
    extra: dict[str, Any]


ENCODE: Final = msgspec.json.Encoder().encode
TYPES_OF: Final[dict[str, list[Any]]] = {kind: list(get_type_hints(each).values()) for kind, each in KINDS.items()}
# as plain tuples, which must be whole: of a named one, what has a default might be missing
DECODERS: Final = {
    **{kind: msgspec.json.Decoder(tuple[str, tuple[tuple(each)]]) for kind, each in TYPES_OF.items()},  # type: ignore[misc]
    "final": msgspec.json.Decoder(tuple[str, _Single]),
}
ENDS: Final = msgspec.json.Decoder(tuple[str, dict[str, int]])


def write_history(history: History, path: Path) -> None:
    """Write the file; another of this name is replaced when the new one is whole.

    Raises:
        LabError: what is there is no regular file.
        OSError: it cannot be written.
    """
    with replacing(path) as file:
        for line in _lines(history):
            file.write(ENCODE(line))
            file.write(b"\n")


def _lines(history: History) -> Iterator[Any]:
    header = {each.name: getattr(history, each.name) for each in fields(history) if each.name not in _LISTED}
    yield {"schema": SCHEMA, "history": header, "columns": COLUMNS}
    counts = {}
    for kind in KINDS:
        values = _values(history, kind)
        counts[kind] = len(values)
        for value in values:
            yield kind, value
    yield "final", {name: getattr(history.final, name) for name in SINGLE}
    yield "end", counts


_LISTED: Final = ("operations", "fault_log", "accesses", "final")


def _values(history: History, kind: str) -> tuple[Any, ...]:
    if kind in IN_FINAL:
        found: tuple[Any, ...] = getattr(history.final, IN_FINAL[kind])
        return found
    return {"operation": history.operations, "fault": history.fault_log, "access": history.accesses}[kind]


def read_history(path: Path) -> History:
    """Read the whole file. Equal texts become one object, so a million operations take about 700 MB.

    Raises:
        LabError: it is no history, of another version, or cut off.
        OSError: it cannot be read.
    """
    found: dict[str, list[Any]] = {kind: [] for kind in KINDS}
    single: dict[str, Any] = {}
    with _without_collector():
        for kind, read in _read(path):
            if kind in found:
                found[kind] += read
            else:
                single[kind] = read[0]
    if "final" not in single:
        raise LabError(f"{path}: the final state is missing, record it again")
    with _without_collector():
        values = {kind: tuple(found.pop(kind)) for kind in KINDS}
    _require_plausible(path, values["operation"])
    members: dict[str, Any] = {member: values[kind] for kind, member in IN_FINAL.items()}
    final = FinalState(**members, **{name: getattr(single["final"], name) for name in SINGLE})
    header: History = single["header"]
    return History(
        **{each.name: getattr(header, each.name) for each in fields(header) if each.name not in _LISTED},
        operations=values["operation"],
        fault_log=values["fault"],
        accesses=values["access"],
        final=final,
    )


def _require_plausible(path: Path, operations: Sequence[Operation]) -> None:
    """Refuse what no recording writes, and what the checkers would take for something else.

    Raises:
        LabError: an outcome that does not exist, or two operations of one number.
    """
    for each in operations:
        if each.type not in TYPES:
            raise LabError(f"{path}: operation {each.number} is {each.type!r}, which is none of {', '.join(TYPES)}")
    if len({each.number for each in operations}) != len(operations):
        raise LabError(f"{path}: two operations have the same number")


def read_header(path: Path) -> History:
    """What the recording was, without its operations.

    Raises:
        LabError: it is no history, or of another version.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return _header(path, file)


@contextmanager
def _without_collector() -> Iterator[None]:
    """The collector of cycles would look through all values again and again, and there are no cycles among them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _read(path: Path) -> Iterator[tuple[str, list[Any]]]:
    """The header, then the lines in order, many of one kind at a time: (kind, values)."""
    counts = dict.fromkeys(KINDS, 0)
    share = _Shared()
    with path.open("rb") as file:
        yield "header", [_header(path, file)]
        at, ended = 1, False
        for kind, lines in _grouped(file):
            try:
                if ended:
                    raise ValueError("there is more after its end")
                if kind == "end":
                    _require_whole(counts, ENDS.decode(lines[0])[1])
                    ended = True
                    continue
                values = DECODERS[kind].decode_lines(b"".join(lines))
            except KeyError:
                raise LabError(f"{path}, line {at + 1}: is of an unknown kind, {kind!r:.40}{_cut(lines)}") from None
            except (msgspec.MsgspecError, ValueError) as error:
                number = _bad_line(kind, lines, at)
                wrong = _missing(kind, lines[number - at - 1]) or f"{error}{_cut(lines)}"
                raise LabError(f"{path}, line {number}: {wrong}") from None
            at += len(lines)
            if kind in counts:
                counts[kind] += len(values)
            yield kind, [share(kind, value) for _, value in values] if kind in KINDS else [value for _, value in values]
    if not ended:
        raise LabError(f"{path}: the end is missing after line {at}: it is cut off, record it again")


def _grouped(file: IO[bytes]) -> Iterator[tuple[str, list[bytes]]]:
    """Lines of one kind that follow each other, `MAX_LINES_AT_ONCE` at most."""
    kind, begin, lines = "", b"", list[bytes]()
    while line := file.readline(MAX_LINE_BYTES):
        if lines and (len(lines) == MAX_LINES_AT_ONCE or not line.startswith(begin)):
            yield kind, lines
            lines = []
        if not lines:
            begin = line[: line.find(b",") + 1]
            kind = begin[2:-2].decode(errors="replace")
        lines.append(line)
    if lines:
        yield kind, lines


def _bad_line(kind: str, lines: Sequence[bytes], before: int) -> int:
    """Number of the first line that cannot be decoded, from 1."""
    for number, line in enumerate(lines, before + 1):
        try:
            DECODERS.get(kind, ENDS).decode(line)
        except (msgspec.MsgspecError, ValueError):
            return number
    return before + 1


def _missing(kind: str, line: bytes) -> str:
    """That a line lacks a field, and which one (where several would fit, all of these); empty: it lacks none."""
    try:
        _, values = msgspec.json.decode(line, type=tuple[str, list[Any]])
    except msgspec.MsgspecError:
        return ""
    types, names = TYPES_OF.get(kind, []), COLUMNS.get(kind, [])
    if len(values) >= len(types):
        return ""
    whole = f"this {kind} has {len(values)} of {len(types)} fields"
    names = [name for at, name in enumerate(names) if _fit(values, types[:at] + types[at + 1 :])]
    return f"{whole}: {' or '.join(names) or 'more than one'} is missing; record it again"


def _fit(values: Sequence[Any], types: Sequence[Any]) -> bool:
    """Whether each value is of the type at its place."""
    try:
        msgspec.convert(values, tuple[tuple(types)])  # type: ignore[misc]
    except msgspec.ValidationError:
        return False
    return True


def _cut(lines: Sequence[bytes]) -> str:
    return "" if lines[-1].endswith(b"\n") else "; it is cut off, record it again"


def _header(path: Path, file: IO[bytes]) -> History:
    what = f"{path}: is no history of `stockade lab record`"
    try:
        found = msgspec.json.decode(file.readline(MAX_LINE_BYTES))
    except msgspec.MsgspecError:
        raise LabError(what) from None
    if not isinstance(found, dict) or "history" not in found:
        raise LabError(what)
    if found.get("schema") != SCHEMA or found.get("columns") != COLUMNS:
        raise LabError(f"{path}: was written by another version of stockade ({found.get('schema')}); record it again")
    header = found["history"]
    try:
        phases = Phases(**header.pop("phases"))
        return History(**{**header, "faults": tuple(header["faults"])}, phases=phases)
    except (TypeError, KeyError, AttributeError):
        raise LabError(f"{path}: its header is not that of a history") from None


def _require_whole(counts: Mapping[str, int], said: Any) -> None:
    if counts != said:
        raise ValueError(f"its end names {said}, but there are {counts}")


class _Shared:
    """Makes equal texts, keys and empty mappings one object each: a history has few, and names them again and again."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._keys: dict[tuple[str, ...], tuple[str, ...]] = {}

    def __call__(self, kind: str, value: tuple[Any, ...]) -> Any:
        """The named tuple of a line, of shared parts where there are many such lines."""
        if kind not in SHARED:
            return KINDS[kind]._make(value)
        text = self._texts.setdefault
        parts: list[Any] = [text(each, each) if type(each) is str else each for each in value]
        if kind == "operation":
            keys = parts[KEYS]
            parts[KEYS] = self._keys.setdefault(keys, keys)
            for at in (VERSIONS, DELTAS, TAKES):
                parts[at] = parts[at] or NOTHING
        return tuple.__new__(KINDS[kind], parts)


KEYS, VERSIONS, DELTAS, TAKES = (Operation._fields.index(name) for name in ("keys", "versions", "deltas", "takes"))
NOTHING: Final[dict[str, int]] = {}
