"""A history as a file of JSON lines, to keep and to judge again.

The first line is the header with the names of the fields of each kind of line; then the operations, the fault log, the
accesses and the final state follow, an array for each: `["operation", [0, 3, "service-1", …]]`. The last line says how
many there are, so that a file that was cut off is noticed. docs/lab.md describes the format. Neighbour: `history.py`.
"""

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import IO, Any, Final

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
from stockade.lab.history.operation import FaultEvent, LockAccess, Operation

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
SINGLE: Final = ("initial", "leftovers", "restocked", "audit", "extra")  # members of the final state in one line
MAX_LINE_BYTES: Final = 64_000_000
ENCODE: Final = msgspec.json.Encoder().encode
DECODERS: Final = {kind: msgspec.json.Decoder(tuple[str, each]) for kind, each in KINDS.items()}  # type: ignore[valid-type]


def write_history(history: History, path: Path) -> None:
    """Write the file; another of this name is replaced when the new one is whole.

    Raises:
        OSError: it cannot be written.
    """
    unfinished = path.with_name(f"{path.name}.part")
    with unfinished.open("wb") as file:
        for line in _lines(history):
            file.write(ENCODE(line))
            file.write(b"\n")
    unfinished.replace(path)


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
        for kind, value in _read(path):
            if kind in found:
                found[kind].append(value)
            else:
                single[kind] = value
        values = {kind: tuple(found.pop(kind)) for kind in KINDS}
    members: dict[str, Any] = {member: values[kind] for kind, member in IN_FINAL.items()}
    final = FinalState(**members, **single["final"])
    header: History = single["header"]
    return History(
        **{each.name: getattr(header, each.name) for each in fields(header) if each.name not in _LISTED},
        operations=values["operation"],
        fault_log=values["fault"],
        accesses=values["access"],
        final=final,
    )


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


def _read(path: Path) -> Iterator[tuple[str, Any]]:
    """Every line as (kind, value), the header first."""
    counts = dict.fromkeys(KINDS, 0)
    share = _Shared()
    with path.open("rb") as file:
        yield "header", _header(path, file)
        number, ended = 1, False
        while line := file.readline(MAX_LINE_BYTES):
            number += 1
            kind = line[2 : line.find(b'"', 2)].decode(errors="replace")
            try:
                if ended:
                    raise ValueError("there is more after its end")
                if kind in DECODERS:
                    _, value = DECODERS[kind].decode(line)
                    counts[kind] += 1
                    yield kind, share(value) if kind in ("operation", "ledger", "request") else value
                elif kind == "final":
                    yield "final", _final(line)
                elif kind == "end":
                    _require_whole(counts, msgspec.json.decode(line)[1])
                    ended = True
                else:
                    raise ValueError("of an unknown kind")
            except (msgspec.MsgspecError, ValueError) as error:
                cut = "" if line.endswith(b"\n") else "; it is cut off"
                raise LabError(f"{path}, line {number}: {error}{cut}") from None
    if not ended:
        raise LabError(f"{path}: the end is missing after line {number}: it is cut off, record it again")


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


def _final(line: bytes) -> dict[str, Any]:
    _, found = msgspec.json.decode(line, type=tuple[str, _Single])
    return {name: getattr(found, name) for name in SINGLE}


class _Single(msgspec.Struct):
    """The members of the final state that stand in one line."""

    initial: dict[str, int]
    leftovers: Leftovers
    restocked: dict[str, int]
    audit: tuple[tuple[str, str], ...]
    extra: dict[str, Any]


def _require_whole(counts: Mapping[str, int], said: Any) -> None:
    if counts != said:
        raise ValueError(f"its end names {said}, but there are {counts}")


class _Shared:
    """Makes equal texts, keys and empty mappings one object each."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._keys: dict[tuple[str, ...], tuple[str, ...]] = {}

    def __call__(self, value: Any) -> Any:
        """The same value of shared parts."""
        text = self._texts.setdefault
        if type(value) is not Operation:
            return type(value)._make([text(each, each) if type(each) is str else each for each in value])
        parts: list[Any] = [text(each, each) if type(each) is str else each for each in value]
        keys = tuple([text(key, key) for key in value.keys])
        parts[4] = self._keys.setdefault(keys, keys)
        for at in (13, 14):
            if not parts[at]:
                parts[at] = NOTHING
            else:
                parts[at] = {text(key, key): number for key, number in parts[at].items()}
        return Operation._make(parts)


NOTHING: Final[dict[str, int]] = {}
