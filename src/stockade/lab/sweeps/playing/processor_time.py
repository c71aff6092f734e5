"""How long processes have run on a processor: Linux counts it for each thread, in nanoseconds.

The usual counters of /proc/PID/stat have steps of 10 ms, and a burst takes 30. Neighbour: `turn.py` asks before and
after. Source: Linux, Documentation/scheduler/sched-stats.rst, "/proc/<pid>/schedstat".
"""

from collections.abc import Iterable
from pathlib import Path


def processor_ns(pids: Iterable[int]) -> dict[tuple[int, int], int] | None:
    """By process and thread the time on a processor so far, in nanoseconds; None: this system does not count it."""
    if not Path("/proc/self/schedstat").exists():
        return None
    found = dict[tuple[int, int], int]()
    for pid in pids:
        for file in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            try:
                found[pid, int(file.parent.name)] = int(file.read_text().split()[0])
            except (FileNotFoundError, ProcessLookupError):
                continue  # the thread has ended
    return found


def spent_ms(before: dict[tuple[int, int], int] | None, after: dict[tuple[int, int], int] | None) -> float | None:
    """The time between two answers, in milliseconds; a thread that is new began with nothing."""
    if before is None or after is None:
        return None
    return sum(max(0, now - before.get(thread, 0)) for thread, now in after.items()) / 1e6
