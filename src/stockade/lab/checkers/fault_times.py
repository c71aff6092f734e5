"""From when to when faults were active, by the fault log."""

from collections.abc import Iterable
from typing import NamedTuple

from stockade.lab.history.history import History
from stockade.lab.history.operation import FaultEvent

HEALED = FaultEvent(0, "", "heal")


class FaultTime(NamedTuple):
    """One fault on the monotonic clock.

    Attributes:
        fault: its name.
        begin_ns: its injection began.
        end_ns: its healing has ended.
        detail: what it hit, and how it went.
        hit: what it hit.
        in_place_ns: its injection had ended.
        healing_ns: its healing began.
        stops_processes: it stopped processes that take or decide requests.
    """

    fault: str
    begin_ns: int
    end_ns: int
    detail: str
    hit: tuple[str, ...] = ()
    in_place_ns: int = 0
    healing_ns: int = 0
    stops_processes: bool = False


def fault_times(history: History) -> list[FaultTime]:
    """The faults of a history; one that was never healed lasts until its end."""
    end_ns = max(history.phases.end_ns, max((each.return_ns for each in history.operations), default=0))
    open_: dict[str, list[FaultEvent]] = {}
    found = []
    for event in history.fault_log:
        if event.action == "inject":
            open_.setdefault(event.fault, []).append(event)
        elif open_.get(event.fault):
            found.append(_time(open_[event.fault].pop(0), event))
    found += [_time(event, HEALED._replace(at_ns=end_ns)) for left in open_.values() for event in left]
    return sorted(found, key=lambda each: each.begin_ns)


def _time(injected: FaultEvent, healed: FaultEvent) -> FaultTime:
    hit = (*injected.hit, *healed.hit)
    return FaultTime(
        injected.fault,
        injected.at_ns,
        max(healed.at_ns, healed.end_ns),
        "; ".join(each for each in (", ".join(hit), injected.detail, healed.detail) if each),
        hit,
        max(injected.at_ns, injected.end_ns),
        healed.at_ns,
        injected.stops_processes,
    )


def disturbed_times(history: History) -> list[FaultTime]:
    """The same, each with the time that its recovery may take (`recovery_s` of the settings) at its end."""
    stated = history.settings.get("recovery_s")
    after_ns = int(stated * 1e9) if isinstance(stated, int | float) else 0
    return [each._replace(end_ns=each.end_ns + after_ns) for each in fault_times(history)]


def active_faults(times: Iterable[FaultTime], begin_ns: int, end_ns: int) -> list[FaultTime]:
    """Those of `times` that were active at some moment from `begin_ns` to `end_ns`."""
    return [each for each in times if each.begin_ns <= end_ns and each.end_ns >= begin_ns]
