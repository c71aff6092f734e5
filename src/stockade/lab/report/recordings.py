"""What sections know of histories: their names, their rates over time, their faults. Pure functions."""

from collections.abc import Sequence
from typing import Any, Final

from stockade.lab.charts import Event, Style, styles
from stockade.lab.history.history import History
from stockade.lab.history.operation import OK, REFUSED, Operation

BINS: Final = 40  # of a recording, about; a bin is round
LEAST_BIN_S: Final = 0.1
ROUND_BINS_S: Final = (0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
INJECT: Final = "inject"
NS: Final = 1e9


def label(history: History, others: Sequence[History]) -> str:
    """The name of a recording: its strategy, and what tells it from the others."""
    parts = [history.strategy]
    if len({each.database for each in others}) > 1:
        parts.append(history.database)
    if len({each.workload for each in others}) > 1:
        parts.append(history.workload)
    if len({each.faults for each in others}) > 1:
        parts.append("+".join(history.faults) or "no fault")
    name = ", ".join(parts)
    same = [each for each in others if each is not history and _parts(each) == _parts(history)]
    return f"{name}, seed {history.seed}" if same else name


def _parts(history: History) -> tuple[Any, ...]:
    return history.strategy, history.database, history.workload, history.faults


def is_decision(operation: Operation) -> bool:
    """Whether an operation is a command that was decided: accepted or refused. A read is no command of a buyer."""
    return operation.type in (OK, REFUSED) and operation.command != "read"


def looks_of(samples: Sequence[tuple[str, Any]]) -> dict[str, Style]:
    """A style for each recording, by its place."""
    return styles([name for name, _ in samples])


def bin_s(history: History) -> float:
    """The length of a bin, in seconds."""
    whole = max((history.phases.final_ns - history.phases.warm_ns) / NS, LEAST_BIN_S)
    return next((each for each in ROUND_BINS_S if whole / each <= BINS), ROUND_BINS_S[-1])


def rates(history: History) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Commands per second over the seconds of a recording: those that were decided, and those that were not.

    Each point stands in the middle of its bin. The last bin, which load fills in part only, is left out.
    """
    length, begin = bin_s(history), history.phases.warm_ns
    count = max(int((history.phases.final_ns - begin) / NS / length), 1)
    decided, lost = [0] * count, [0] * count
    for each in history.operations:
        at = int((each.return_ns - begin) / NS / length)
        if 0 <= at < count and each.command != "read":
            (decided if is_decision(each) else lost)[at] += 1
    return tuple([((at + 0.5) * length, number / length) for at, number in enumerate(all_)] for all_ in (decided, lost))  # type: ignore[return-value]


def events(history: History) -> list[Event]:
    """The faults of a recording: from the injection to the heal, in seconds since the load began."""
    begin = history.phases.warm_ns
    found: list[Event] = []
    open_: dict[str, float] = {}
    for each in history.fault_log:
        at = max((each.at_ns - begin) / NS, 0.0)
        if each.action == INJECT:
            open_.setdefault(each.fault, at)
        elif each.fault in open_:
            since = open_.pop(each.fault)
            found.append(Event(since, each.fault, at))
    found += [Event(since, fault) for fault, since in open_.items()]
    return sorted(found, key=lambda event: event.at)
