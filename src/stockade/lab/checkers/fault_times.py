"""From when to when faults were active, by the fault log."""

from collections.abc import Iterable
from typing import NamedTuple

from stockade.lab.history.history import History


class FaultTime(NamedTuple):
    """One fault, from its injection to its healing, on the monotonic clock."""

    fault: str
    begin_ns: int
    end_ns: int
    detail: str


def fault_times(history: History) -> list[FaultTime]:
    """The faults of a history; one that was never healed lasts until its end."""
    end_ns = max(history.phases.end_ns, max((each.return_ns for each in history.operations), default=0))
    open_: dict[str, list[tuple[int, str]]] = {}
    found = []
    for event in history.fault_log:
        if event.action == "inject":
            open_.setdefault(event.fault, []).append((event.at_ns, event.detail))
        elif open_.get(event.fault):
            begin_ns, detail = open_[event.fault].pop(0)
            found.append(FaultTime(event.fault, begin_ns, event.at_ns, detail))
    found += [FaultTime(name, at_ns, end_ns, detail) for name, left in open_.items() for at_ns, detail in left]
    return sorted(found, key=lambda each: each.begin_ns)


def disturbed_times(history: History) -> list[FaultTime]:
    """The same, each with the time that its healing may take (`recovery_s` of the settings) at its end."""
    stated = history.settings.get("recovery_s")
    after_ns = int(stated * 1e9) if isinstance(stated, int | float) else 0
    return [each._replace(end_ns=each.end_ns + after_ns) for each in fault_times(history)]


def active_faults(times: Iterable[FaultTime], begin_ns: int, end_ns: int) -> list[FaultTime]:
    """Those of `times` that were active at some moment from `begin_ns` to `end_ns`."""
    return [each for each in times if each.begin_ns <= end_ns and each.end_ns >= begin_ns]
