"""The results of finished cells, in a file, so that an interrupted ring goes on: JSON lines, the first is the header.

Neighbours: `ring.py` asks it before each cell, and adds to it after each.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import stockade
from stockade.core import JsonValue
from stockade.lab.errors import LabError
from stockade.lab.ring.cell import DIGITS, CellResult
from stockade.lab.ring.expectation import FAILED, NOT_EXPOSED

SCHEMA = "stockade.lab.ring-state/2"


def code() -> dict[str, JsonValue]:
    """The version of stockade and a hash of its source files: results of other code say nothing about this one."""
    found = hashlib.sha256()
    root = Path(stockade.__file__).parent
    for file in sorted(root.rglob("*.py")):
        found.update(str(file.relative_to(root)).encode() + b"\0" + file.read_bytes())
    return {"stockade": stockade.__version__, "code": found.hexdigest()[:DIGITS]}


class StateFile:
    """Finished cells.

    Args:
        path: of the file; None: nothing is kept.
        settings: what a ring must have in common with the one that it continues: its seed, its seconds, the code.

    Raises:
        LabError: the file is no state of a ring, or that of another one.
    """

    def __init__(self, path: Path | None, settings: Mapping[str, JsonValue]) -> None:
        self._path = path
        self.finished: dict[str, CellResult] = {}
        if path is None:
            return
        header = {"schema": SCHEMA, **settings}
        if path.exists() and path.stat().st_size:
            self._read(path, header)
        else:
            path.write_text(json.dumps(header) + "\n", encoding="utf-8")

    def add(self, result: CellResult) -> None:
        """Keep the result of a cell."""
        self.finished[result.cell.id] = result
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(result.as_json(), ensure_ascii=False) + "\n")

    def _read(self, path: Path, header: Mapping[str, JsonValue]) -> None:
        """Read the finished cells; a last line that was cut off by a kill is removed, its cell is played again."""
        text = path.read_text(encoding="utf-8")
        whole, _, cut_off = text.rpartition("\n")
        try:
            there, *lines = [dict(json.loads(line)) for line in whole.splitlines()]
        except (ValueError, TypeError):
            raise LabError(f"--state {path}: is not the state of a ring; name another file") from None
        if there != header:
            shown = ", ".join(f"{name} {there.get(name)}" for name in header if there.get(name) != header[name])
            raise LabError(f"--state {path}: belongs to another ring ({shown}); name another file, or delete it")
        if cut_off:
            path.write_text(whole + "\n", encoding="utf-8")
        for values in lines:
            result = CellResult.from_json(values)
            if result.verdict not in (FAILED, NOT_EXPOSED):  # these say nothing, and the reason may be gone
                self.finished[result.cell.id] = result
