"""In time: no caller waits longer past the deadline that it was offered than the grace and `SLACK_S`.

A stopped process tells nobody anything, so operations are left out whose process a fault suspended meanwhile. So are
those that the recording gave up, if any fault overlaps them or the time that its healing may take. An "unknown" of the
service is an answer like every other. How late the lab or the process was after the deadline is subtracted.
"""

from collections.abc import Iterator
from typing import Final

from stockade.core.grace import GRACE_S
from stockade.lab.checkers.fault_times import FaultTime, active_faults, disturbed_times, fault_times
from stockade.lab.checkers.indexed_history import IndexedHistory
from stockade.lab.checkers.lateness import late_ns
from stockade.lab.checkers.violation import Violation
from stockade.lab.history.operation import UNKNOWN

RULE: Final = "in-time"
SLACK_S: Final = 0.1  # beyond the grace of the service: the way of the answer to the client
MOST_LATE_S: Final = GRACE_S + SLACK_S
GIVEN_UP: Final = ("", "NO_ANSWER", "PROCESS_ENDED", "CANCELLED")  # codes of what the service did not answer


def check(history: IndexedHistory) -> Iterator[Violation]:
    """Report operations that returned too late."""
    disturbed = disturbed_times(history.history)
    suspending = [each for each in fault_times(history.history) if each.stops_processes]
    for operation in history.history.operations:
        if not operation.deadline_ns or operation.return_ns <= operation.deadline_ns + MOST_LATE_S * 1e9:
            continue
        given_up = operation.type == UNKNOWN and operation.code in GIVEN_UP
        times = disturbed if given_up else [each for each in suspending if _may_be_stopped(operation.process, each)]
        if active_faults(times, operation.invoke_ns, operation.return_ns):
            continue
        late_s = (operation.return_ns - operation.deadline_ns) / 1e9
        late = late_ns(history.final, operation.deadline_ns, operation.return_ns, operation.process)
        if late_s - late / 1e9 <= MOST_LATE_S:
            continue
        yield Violation(
            RULE,
            f"operation {operation.number} ({operation.command}) returned {late_s:.3f} s past its deadline",
            key=operation.keys[0] if operation.keys else "",
            request_id=operation.request_id,
            operation=operation.number,
            at_ns=operation.return_ns,
            about_time=True,
        )


def _may_be_stopped(process: str, fault: FaultTime) -> bool:
    """Whether a fault stopped a process; one that hit no row or key may have stopped any of them all the same."""
    return not fault.hit or process in fault.hit
