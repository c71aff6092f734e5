"""How late the machine was, by what the recording noted: nobody can be blamed for that time.

For an operation only what made the lab or its own process late counts: a process that takes a processor for itself, and
answers nobody, makes the others wait for one, and that does not excuse it. Neighbours: `recording/watches/lateness.py`
notes it; `requests/in_time.py`, `system/served.py` and `system/liveness.py` ask.
"""

from typing import Final

from stockade.core import JsonValue
from stockade.lab.history.final_state import FinalState

# In `FinalState.extra`: from when, until when, for how long of that the lab was late, and by the name of a process, for
# how long it waited for a processor; all in nanoseconds. Older recordings have one number for all of it, and no names.
LATE: Final = "late"


def late_ns(final: FinalState, begin_ns: int, end_ns: int, process: str = "") -> int:
    """How long the lab or a process did not run, though it could have, between two moments.

    Args:
        final: has the notes; without any: 0.
        begin_ns: on the monotonic clock.
        end_ns: the same.
        process: its name; empty: whichever was the latest at each time.
    """
    notes = final.extra.get(LATE)
    total = 0
    for note in notes if isinstance(notes, list) else ():
        match note:
            case [int(from_ns), int(until_ns), int(lab_ns), *waits] if from_ns <= end_ns and until_ns >= begin_ns:
                for_ns = min(lab_ns + _waited_ns(waits, process), until_ns - from_ns)
                total += min(for_ns, min(until_ns, end_ns) - max(from_ns, begin_ns))
    return total


def _waited_ns(waits: list[JsonValue], process: str) -> int:
    by_name = waits[0] if waits else None
    if not isinstance(by_name, dict):
        return 0
    found = [ns for name, ns in by_name.items() if isinstance(ns, int) and (not process or name == process)]
    return max(found, default=0)
