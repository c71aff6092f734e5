"""The file of a sweep: it is the document, and a sweep that was interrupted reads it and goes on.

It is written anew and takes the place of the old one in one step (rename), so whatever ends the sweep, there is a whole
document. SIGKILL loses the round of the opening under way, which says nothing alone as its strategies are compared with
one another, and what was played since the last time it was written. Neighbours: `document.py` has the members,
`sweep.py` writes.
"""

import json
import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from stockade.core import JsonValue
from stockade.lab.errors import LabError
from stockade.lab.sweeps.axes import Point
from stockade.lab.sweeps.plan import SweepPlan
from stockade.lab.sweeps.reading import read_sweep
from stockade.lab.sweeps.sample import Sample
from stockade.lab.whole_file import replacing

SAME_MACHINE = ("machine", "cpu_model", "memory_gib", "os", "cpu_count", "python", "database_version")


class SweepFile:
    """Samples of finished turns, in the document at a path.

    Args:
        path: of the document; None: nothing is kept.
        plan: what a sweep must have in common with the one that it continues.
        code: version and hash of the present code.

    Attributes:
        samples: by the id of the point and the name of the contender.
        points: of the file and of the plan, by id.
        environment: of the file; empty without one.

    Raises:
        LabError: the file is no sweep, or that of another one.
    """

    def __init__(self, path: Path | None, plan: SweepPlan, code: Mapping[str, JsonValue]) -> None:
        self.path = path
        self.samples: defaultdict[tuple[str, str], list[Sample]] = defaultdict(list)
        self.points: dict[str, Point] = {}
        self.environment: Mapping[str, JsonValue] = {}
        if path is not None and path.exists() and path.stat().st_size:
            self._read(path, {**plan.settings, **code}, {point.id: point for point in plan.points})
        for point in plan.points:
            self.points.setdefault(point.id, point)

    def check_machine(self, environment: Mapping[str, JsonValue]) -> None:
        """Refuse to go on elsewhere: samples of two machines cannot be compared.

        Raises:
            LabError: the samples were taken on another machine, or with another Python or database.
        """
        for name in SAME_MACHINE:
            there, here = self.environment.get(name, environment.get(name)), environment.get(name)
            if there != here:
                raise LabError(
                    f"--json {self.path}: was measured with {name} {there}, here is {here}; name another file"
                )

    def write(self, found: Mapping[str, JsonValue]) -> None:
        """Put the document in the place of the old one, in one step."""
        if self.path is None:
            return
        with replacing(self.path) as file:
            file.write(f"{json.dumps(found, separators=(',', ':'))}\n".encode())
            file.flush()
            os.fsync(file.fileno())

    def _read(self, path: Path, settings: Mapping[str, JsonValue], planned: Mapping[str, Point]) -> None:
        try:
            found = read_sweep(json.loads(path.read_text(encoding="utf-8")))
        except ValueError as error:
            raise LabError(f"--json {path}: is not the document of a sweep ({error}); name another file") from None
        there = found.settings
        differing = [name for name in settings if there.get(name) != settings[name]]
        if differing:
            shown = ", ".join(f"{name} {there.get(name)}, now {settings[name]}" for name in differing)
            raise LabError(f"--json {path}: belongs to another sweep ({shown}); name another file, or delete it")
        for id_, point in found.points.items():
            if planned.get(id_, point).setting != point.setting:
                raise LabError(f"--json {path}: {id_} was measured in another setting; name another file")
        self.environment, self.points = found.environment, dict(found.points)
        self.samples.update({key: list(taken) for key, taken in found.samples.items()})
