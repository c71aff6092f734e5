"""A cell of the ring: one recording, by its id; and what became of it.

Neighbours: `design.py` chooses the cells, `player.py` plays one, `state_file.py` keeps the results of finished ones.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from stockade.core import JsonValue
from stockade.lab.checkers.exposure import Exposure
from stockade.lab.errors import LabError

NO_FAULT = "no-fault"
PARTS = 4
DIGITS = 8  # hex digits of the seed of a recording


@dataclass(frozen=True, slots=True)
class Cell:
    """One recording of the ring.

    Attributes:
        database: `sqlite`, `postgres` or `mariadb`.
        contender: e.g. `sequencer` or `redis-pubsub:bare`.
        faults: names, in the order of the id; empty for a recording without.
        workload: its name.
    """

    database: str
    contender: str
    faults: tuple[str, ...]
    workload: str

    @property
    def id(self) -> str:
        """Its name, e.g. `postgres.sequencer.database-kill+latency.order-stream`."""
        return f"{self.database}.{self.contender}.{'+'.join(self.faults) or NO_FAULT}.{self.workload}"

    @classmethod
    def parse(cls, text: str) -> "Cell":
        """Read an id.

        Raises:
            LabError: it is none.
        """
        parts = text.split(".")
        if len(parts) != PARTS or not all(parts):
            raise LabError(
                f"cell {text!r}: an id is DATABASE.STRATEGY.FAULTS.WORKLOAD, as `stockade lab ring --list` prints them"
            )
        database, contender, faults, workload = parts
        return cls(database, contender, () if faults == NO_FAULT else tuple(faults.split("+")), workload)

    def seed(self, ring_seed: int) -> int:
        """The seed of its recording: another one in each cell, and decided by the seed of the ring."""
        return int(hashlib.sha256(f"{ring_seed}:{self.id}".encode()).hexdigest()[:DIGITS], 16)


class Found(NamedTuple):
    """A violation: the rule, and what was found."""

    rule: str
    detail: str


@dataclass(frozen=True, slots=True)
class CellResult:
    """What became of a cell.

    Attributes:
        cell: which one.
        seed: of its recording.
        expected: one of the expectations of `expectation.py`.
        verdict: one of the verdicts there.
        violations: what the checkers found.
        operations: how many there were of each type.
        wall_s: how long it took, in seconds.
        history: the file that was kept; empty if none was.
        reason: why it was not run, or what went wrong; empty otherwise.
        exposure: what each fault hit, for how long it was in place, and how many operations it met.
    """

    cell: Cell
    seed: int
    expected: str
    verdict: str
    violations: tuple[Found, ...] = ()
    operations: Mapping[str, int] = field(default_factory=dict)
    wall_s: float = 0.0
    history: str = ""
    reason: str = ""
    exposure: tuple[Exposure, ...] = ()

    def as_json(self) -> dict[str, JsonValue]:
        """The member of a document, and the line of a state file."""
        return {
            "cell": self.cell.id,
            "database": self.cell.database,
            "strategy": self.cell.contender,
            "faults": list(self.cell.faults),
            "workload": self.cell.workload,
            "seed": self.seed,
            "expected": self.expected,
            "verdict": self.verdict,
            "violations": [{"rule": rule, "detail": detail} for rule, detail in self.violations],
            "operations": dict(self.operations),
            "wall_s": round(self.wall_s, 2),
            "history": self.history,
            "reason": self.reason,
            "exposure": [
                {
                    "fault": each.fault,
                    "hit": list(each.hit),
                    "active_s": round(each.active_s, 3),
                    "in_flight": each.in_flight,
                    "why_not": each.why_not,
                }
                for each in self.exposure
            ],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "CellResult":
        """The result that `as_json` wrote.

        Raises:
            LabError: it is another thing.
        """
        try:
            return cls(
                cell=Cell.parse(str(values["cell"])),
                seed=int(values["seed"]),
                expected=values["expected"],
                verdict=values["verdict"],
                violations=tuple(Found(each["rule"], each["detail"]) for each in values["violations"]),
                operations=dict(values["operations"]),
                wall_s=float(values["wall_s"]),
                history=values["history"],
                reason=values["reason"],
                exposure=tuple(_exposure(each) for each in values.get("exposure", ())),
            )
        except (LabError, KeyError, TypeError, ValueError) as error:
            raise LabError(f"no result of a cell: {type(error).__name__}: {error}") from error


def _exposure(values: Mapping[str, Any]) -> Exposure:
    return Exposure(**{**values, "hit": tuple(values["hit"])})
