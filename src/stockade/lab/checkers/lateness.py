"""How late the machine was, by what the recording noted: nobody can be blamed for that time.

Neighbours: `recording/watches/lateness.py` notes it; `requests/in_time.py` and `system/liveness.py` subtract it.
"""

from typing import Final

from stockade.lab.history.final_state import FinalState

LATE: Final = "late"  # in `FinalState.extra`: from when, until when, for how long of that, in nanoseconds


def late_ns(final: FinalState, begin_ns: int, end_ns: int) -> int:
    """How long the lab or a process did not run, though it could have, between two moments.

    Args:
        final: has the notes; without any: 0.
        begin_ns: on the monotonic clock.
        end_ns: the same.
    """
    notes = final.extra.get(LATE)
    total = 0
    for note in notes if isinstance(notes, list) else ():
        match note:
            case [int(from_ns), int(until_ns), int(for_ns)] if from_ns <= end_ns and until_ns >= begin_ns:
                total += min(for_ns, min(until_ns, end_ns) - max(from_ns, begin_ns))
    return total
