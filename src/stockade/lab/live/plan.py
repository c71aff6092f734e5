"""A run of the live page as values, read from what a page sends; every number has bounds.

Neighbours: `choices.py` says what there is to choose, `running/main.py` carries it out.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from stockade.lab.errors import LabError
from stockade.lab.faults import find_faults
from stockade.lab.live.choices import Choices
from stockade.lab.model.contender import Contender
from stockade.lab.recording.engine import impossible
from stockade.lab.recording.plan import RecordingPlan
from stockade.lab.workloads.registry import find_workload

BURST, RECORDING = "burst", "recording"
MOST_CONTROLS: Final = 12
BOUNDS: Final[Mapping[str, tuple[float, float]]] = {
    "buyers": (1, 1_000),
    "stock": (0, 100_000),
    "rounds": (1, 200),
    "processes": (1, 8),
    "clients": (1, 500),
    "rate": (0, 20_000),
    "seconds": (1, 120),
}
DECIMAL: Final = ("seconds",)


@dataclass(frozen=True, slots=True)
class LivePlan:
    """What one run does: each control in turn, under equal conditions.

    Attributes:
        kind: `burst` (everybody at the same moment, several rounds) or `recording` (load for some seconds).
        workload: a preset, or a workload of recordings.
        controls: names of contenders.
        database: `sqlite`, `postgres` or `mariadb`.
        processes: that take orders.
        buyers: of a burst.
        stock: of a burst, units at the start of each round.
        rounds: of a burst.
        clients: of a recording.
        rate: of a recording, requests per second; 0: each client sends when it has its answer.
        seconds: of a recording.
        fault: of a recording; empty: none.
    """

    kind: str
    workload: str
    controls: tuple[str, ...]
    database: str = "sqlite"
    processes: int = 1
    buyers: int = 30
    stock: int = 20
    rounds: int = 30
    clients: int = 16
    rate: int = 0
    seconds: float = 5.0
    fault: str = ""

    def as_json(self) -> dict[str, Any]:
        """For pages and for the process of the run."""
        return asdict(self)


def read_plan(sent: Any, choices: Choices) -> LivePlan:
    """The plan that a page sends.

    Args:
        sent: parsed JSON; a burst that leaves out buyers, stock or rounds has those of its preset.
        choices: what there is on this machine.

    Raises:
        LabError: something is missing, unknown, impossible here or out of bounds; the message says what to do.
    """
    if not isinstance(sent, dict):
        raise LabError("a run is an object of JSON")
    if unknown := sorted(set(map(str, sent)) - set(LivePlan.__dataclass_fields__)):
        raise LabError(f"unknown: {', '.join(unknown)}; a run has {', '.join(LivePlan.__dataclass_fields__)}")
    kind = sent.get("kind")
    if kind not in (BURST, RECORDING):
        raise LabError(f"kind must be {BURST} or {RECORDING}")
    numbers = {name: _number(sent, name) for name in BOUNDS if name in sent}
    workload = _one_of(sent, "workload", choices.bursts if kind == BURST else choices.workloads)
    if kind == BURST:
        numbers = {**choices.figures.get(workload, {}), **numbers}
    plan = LivePlan(
        kind=kind,
        workload=workload,
        controls=_controls(sent, choices),
        database=_one_of(sent, "database", choices.databases),
        fault=_one_of(sent, "fault", {"": "", **choices.faults}) if kind == RECORDING else "",
        **numbers,
    )
    if kind == RECORDING:
        for control in plan.controls:
            if why := impossible(recording_plan(plan, control), plan.database):
                raise LabError(f"{control}: {why}")
    elif "kafka" in plan.controls:
        raise LabError("kafka decides in other processes: choose a workload that goes on for some seconds")
    return plan


def recording_plan(plan: LivePlan, control: str) -> RecordingPlan:
    """The recording of one control."""
    return RecordingPlan(
        workload=find_workload(plan.workload),
        contender=Contender.parse(control),
        database=plan.database,
        faults=find_faults(plan.fault),
        seconds=plan.seconds,
        processes=plan.processes,
        clients=plan.clients,
        rate=float(plan.rate),
    )


def _controls(sent: Mapping[str, Any], choices: Choices) -> tuple[str, ...]:
    found = sent.get("controls")
    if (
        not isinstance(found, list)
        or not 1 <= len(found) <= MOST_CONTROLS
        or not all(isinstance(c, str) for c in found)
    ):
        raise LabError(f"controls must be a list of 1 to {MOST_CONTROLS} names")
    if len(set(found)) < len(found):
        raise LabError("a control is named twice")
    for name in found:
        if name not in choices.controls:
            raise LabError(f"unknown control {name!r}; there are: {', '.join(choices.controls)}")
        if why := choices.controls[name]:
            raise LabError(f"{name}: {why}")
    return tuple(found)


def _one_of(sent: Mapping[str, Any], name: str, there: Any) -> str:
    value = sent.get(name, "sqlite" if name == "database" else "")
    if not isinstance(value, str) or value not in there:
        raise LabError(f"{name} must be one of: {', '.join(each for each in there if each)}")
    if isinstance(there, Mapping) and (why := there[value]):
        raise LabError(f"{value}: {why}")
    return value


def _number(sent: Mapping[str, Any], name: str) -> Any:
    low, high = BOUNDS[name]
    value = sent[name]
    kinds = (int, float) if name in DECIMAL else (int,)
    if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
        raise LabError(f"{name} must be a {'' if name in DECIMAL else 'whole '}number from {low:,g} to {high:,g}")
    return value
