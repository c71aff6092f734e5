"""Exposure: whether each fault of a history acted at all. Without it a history without a violation says nothing.

A fault acted if its injection hit something, it was in place for some time, and operations were in flight then. Those
that find no process are not: nobody had them. Faults that are combined must have been in place at one moment. This is
no rule about the system, so it is no checker of `CHECKERS`: what was not exposed has neither passed nor failed.
Neighbours: `fault_times.py` reads the fault log, `ring/player.py` and `ring/summary.py` ask.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from stockade.lab.checkers.fault_times import FaultTime, fault_times
from stockade.lab.history.history import History
from stockade.lab.history.operation import PROCESS_AWAY

COMBINED: Final = "combined"  # the schedule whose faults happen at once


class Exposure(NamedTuple):
    """What one fault of a history did.

    Attributes:
        fault: its name.
        hit: what it hit.
        active_s: for how long it was in place, in seconds.
        in_flight: operations that were under way meanwhile.
        why_not: why it says nothing; empty: the history was exposed to it.
    """

    fault: str
    hit: tuple[str, ...] = ()
    active_s: float = 0.0
    in_flight: int = 0
    why_not: str = ""


def exposures(history: History) -> list[Exposure]:
    """One for each fault that was planned; of one that happened several times the best."""
    times: dict[str, list[FaultTime]] = {name: [] for name in history.faults}
    for each in fault_times(history):
        if each.fault in times:
            times[each.fault].append(each)
    found = [_best(history, name, some) for name, some in times.items()]
    if history.settings.get("schedule") == COMBINED and len(found) > 1 and not any(each.why_not for each in found):
        begin_ns = max(each.in_place_ns for some in times.values() for each in some)
        if begin_ns >= min(each.healing_ns for some in times.values() for each in some):
            return [each._replace(why_not="was not in place at one moment with the others") for each in found]
    return found


def not_exposed(history: History) -> list[str]:
    """A text for each fault that did not act: its name, and why."""
    return [f"{each.fault} {each.why_not}" for each in exposures(history) if each.why_not]


def _best(history: History, name: str, times: Sequence[FaultTime]) -> Exposure:
    if not times:
        return Exposure(name, why_not="was never injected")
    return max((_exposure(history, each) for each in times), key=lambda each: (not each.why_not, each.in_flight))


def _exposure(history: History, time: FaultTime) -> Exposure:
    active_s = (time.healing_ns - time.in_place_ns) / 1e9
    in_flight = sum(
        each.invoke_ns < time.healing_ns and each.return_ns > time.in_place_ns and each.code != PROCESS_AWAY
        for each in history.operations
    )
    why_not = ""
    if not time.hit:
        why_not = f"hit nothing{f' ({time.detail})' if time.detail else ''}"
    elif active_s <= 0:
        why_not = "lasted 0 s"
    elif not in_flight:
        why_not = "met no operation in flight"
    return Exposure(time.fault, time.hit, active_s, in_flight, why_not)
