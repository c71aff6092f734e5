"""What a recording shows to somebody who looks while its load runs.

Neighbours: `../engine.py` opens it around the load, `lab/live/` looks.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from stockade.core import Key
from stockade.lab.history.operation import FaultEvent
from stockade.lab.recording.recorder import Recorder
from stockade.lab.recording.service_processes import ServiceProcesses
from stockade.lab.targets.target_database import TargetDatabase


@dataclass(frozen=True, slots=True)
class Observed:
    """The parts of a recording that may be read, and not changed.

    Attributes:
        recorder: has the operations that have ended.
        processes: that run the service.
        workers: that decide the command log; none without one.
        fault_log: grows while the load runs.
        target: the database, by the lab's own connections.
        rows: that many requests share.
    """

    recorder: Recorder
    processes: ServiceProcesses
    workers: ServiceProcesses
    fault_log: Sequence[FaultEvent]
    target: TargetDatabase
    rows: Sequence[Key]


Observe = Callable[[Observed], AbstractAsyncContextManager[None]]
"""Entered when the load begins, left when it has ended."""
