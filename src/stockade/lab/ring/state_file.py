"""The results of finished cells, in a file, so that an interrupted ring goes on: JSON lines, the first is the header.

Neighbours: `ring.py` asks it before each cell, and adds to it after each. What a ring is played on is described by
`lab/reporting/installed.py`.
"""

import fcntl
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

import stockade
from stockade.core import JsonValue
from stockade.lab.errors import LabError
from stockade.lab.ring.cell import DIGITS, CellResult
from stockade.lab.ring.expectation import FAILED, NOT_EXPOSED
from stockade.lab.whole_file import naming, why_not_replaced

KIND: Final = "stockade.lab.ring-state/"
SCHEMA: Final = f"{KIND}3"
MOST_SHOWN: Final = 5  # differences of two headers


def code() -> dict[str, JsonValue]:
    """The version of stockade and a hash of its source files: results of other code say nothing about this one."""
    found = hashlib.sha256()
    root = Path(stockade.__file__).parent
    for file in sorted(root.rglob("*.py")):
        found.update(str(file.relative_to(root)).encode() + b"\0" + file.read_bytes())
    return {"stockade": stockade.__version__, "code": found.hexdigest()[:DIGITS]}


class StateFile:
    """Finished cells. A context manager: inside it no other ring can use the file.

    Args:
        path: of the file; None: nothing is kept.
        settings: what a ring must have in common with the one that it continues: its seed, its seconds, the code, the
            machine with its packages and servers.

    Raises:
        LabError: the file is no state of a ring, that of another one, or in use.
        OSError: it cannot be read or written.
    """

    def __init__(self, path: Path | None, settings: Mapping[str, JsonValue]) -> None:
        self.finished: dict[str, CellResult] = {}
        self._file: IO[str] | None = None
        if path is None:
            return
        there = path.resolve()  # it is added to and never replaced, so it may be a link
        if why := why_not_replaced(there):  # nothing would be kept in a device or a pipe
            raise LabError(f"--state {path}: {why}")
        is_new, self._path = not there.exists(), path
        self._file = path.open("a+", encoding="utf-8")
        try:
            self._open(path, self._file, {"schema": SCHEMA, **settings})
        except BaseException as error:
            if is_new and isinstance(error, OSError):
                with suppress(OSError):  # while it has the lock: afterwards it may be that of another ring
                    there.unlink()
            with suppress(OSError):  # what is in its buffer is what could not be written
                self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            # after an error, what is in its buffer may be what could not be written
            with nullcontext() if error is None else suppress(OSError):
                self._file.close()  # which ends the lock, too

    def add(self, result: CellResult) -> None:
        """Keep the result of a cell.

        Raises:
            OSError: it cannot be written.
        """
        self.finished[result.cell.id] = result
        if self._file is not None:
            _write(self._path, self._file, result.as_json())

    def _open(self, path: Path, file: IO[str], header: Mapping[str, JsonValue]) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LabError(f"--state {path}: another ring uses it; wait for its end, or name another file") from None
        file.seek(0)
        text = file.read()
        if text:
            self._read(path, file, text, header)
        else:
            _write(path, file, header)

    def _read(self, path: Path, file: IO[str], text: str, header: Mapping[str, JsonValue]) -> None:
        """Read the finished cells; a last line that was cut off by a kill is removed, its cell is played again."""
        whole, _, cut_off = text.rpartition("\n")
        try:
            there, *lines = [dict(json.loads(line)) for line in whole.splitlines()]
        except (ValueError, TypeError):
            raise LabError(f"--state {path}: is not the state of a ring; name another file") from None
        _require_equal(path, there, header)
        results = [CellResult.from_json(values) for values in lines]
        # those say nothing, and the reason may be gone
        self.finished = {each.cell.id: each for each in results if each.verdict not in (FAILED, NOT_EXPOSED)}
        if cut_off:
            file.truncate(len(f"{whole}\n".encode()))


def _write(path: Path, file: IO[str], values: Mapping[str, JsonValue]) -> None:
    with naming(path):
        file.write(json.dumps(values, ensure_ascii=False) + "\n")
        file.flush()


def _require_equal(path: Path, there: Mapping[str, Any], header: Mapping[str, JsonValue]) -> None:
    """Refuse what another ring has written.

    Raises:
        LabError: it is of another version of this file, or of other settings; the message says of which.
    """
    advice = "name another file, or delete it"
    schema = str(there.get("schema"))
    if schema.startswith(KIND) and schema != SCHEMA:
        raise LabError(f"--state {path}: was written by another version of stockade ({schema}); {advice}")
    before, now = dict(_flat(there)), dict(_flat(header))
    different = [name for name in dict.fromkeys((*now, *before)) if before.get(name) != now.get(name)]
    if different:
        shown = [f"{name} {before.get(name)}, now {now.get(name)}" for name in different[:MOST_SHOWN]]
        more = f"; and {len(different) - MOST_SHOWN} more" if len(different) > MOST_SHOWN else ""
        raise LabError(f"--state {path}: belongs to another ring ({'; '.join(shown)}{more}); {advice}")


def _flat(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Members of members beside each other: `servers.redis`."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from ((f"{name}.{inner}", of_it) for inner, of_it in value.items())
        else:
            yield name, value
