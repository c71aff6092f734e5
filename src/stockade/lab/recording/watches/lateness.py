"""How late a busy machine made the recording: of the lab's loop, and of the processes that waited for a processor.

What a caller waits for then is no fault of a strategy, unless another process of the service keeps the processor: so
the waits are noted by process. Neighbours: `../engine.py` runs it, `checkers/lateness.py` subtracts it. Source of the
waits: `/proc/PID/schedstat`, see the kernel's Documentation/scheduler/sched-stats.rst.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from stockade.core import JsonValue
from stockade.lab.recording.fault import Processes

SAMPLE_S: Final = 0.05
LEAST_S: Final = 0.02  # of lateness that is worth a note
MOST: Final = 20_000  # notes of one recording


class LatenessWatch:
    """Notes when the lab or a process did not run though it could have.

    Args:
        groups: of processes whose main threads, which run their event loops, are watched.
    """

    def __init__(self, groups: Sequence[Processes]) -> None:
        self._groups = groups
        self._found: list[tuple[int, int, int, dict[str, int]]] = []
        self._waited: dict[int, int] = {}

    @property
    def found(self) -> list[JsonValue]:
        """For `FinalState.extra`, see `checkers.lateness.LATE`."""
        return [[from_ns, until_ns, lab_ns, waits] for from_ns, until_ns, lab_ns, waits in self._found]

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Watch inside the block."""
        self._waits_ns()  # what they have waited before is not of this time
        task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.result()

    async def _watch(self) -> None:
        while len(self._found) < MOST:
            began_ns = time.monotonic_ns()
            await asyncio.sleep(SAMPLE_S)
            now_ns = time.monotonic_ns()
            lab_ns, waits = max(0, now_ns - began_ns - round(SAMPLE_S * 1e9)), self._waits_ns()
            if lab_ns + max(waits.values(), default=0) > LEAST_S * 1e9:
                self._found.append((began_ns, now_ns, lab_ns, waits))

    def _waits_ns(self) -> dict[str, int]:
        """How long each process that had to has waited for a processor since the last call."""
        found = {}
        for group in self._groups:
            for number in range(group.count):
                pid = group.pid(number)
                waited = _waited_ns(pid)
                if (since := waited - self._waited.get(pid, waited)) > 0:  # less: it has ended
                    found[f"{group.name} {number}"] = since
                self._waited[pid] = waited
        return found


def _waited_ns(pid: int) -> int:
    """How long the main thread of a process has waited for a processor; 0 where the system does not tell."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) if pid else 0
    except (OSError, IndexError, ValueError):
        return 0
