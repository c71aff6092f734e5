"""A history: one recording, whole. The checkers judge it, and can judge it again from its file.

Neighbours: `history_file.py` writes and reads it, `checkers/` judge it, `recording/` makes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from stockade.core import JsonValue
from stockade.lab.history.final_state import FinalState
from stockade.lab.history.operation import FaultEvent, LockAccess, Operation


@dataclass(frozen=True, slots=True)
class Phases:
    """When the phases of a recording began, on the monotonic clock in nanoseconds.

    Attributes:
        warm_ns: load begins; the time until `faults_ns` gives the rate without faults.
        faults_ns: the first fault may be injected.
        healed_ns: the last fault was healed, and every process serves again; without faults as `faults_ns`.
        final_ns: no new requests after this.
        end_ns: the final state is read.
    """

    warm_ns: int = 0
    faults_ns: int = 0
    healed_ns: int = 0
    final_ns: int = 0
    end_ns: int = 0


@dataclass(frozen=True, slots=True)
class History:
    """One recording.

    Attributes:
        workload: its name.
        strategy: name of the contender, e.g. `redis-pubsub:bare`.
        database: `sqlite`, `postgres`, `mariadb` or `mysql`.
        faults: names of those that were planned, in order; empty without any.
        seed: of the workload and of the schedule.
        settings: everything else that the recording was started with; enough to repeat it.
        environment: versions, machine, date.
        phases: when what happened.
        operations: by `number`.
        fault_log: in order of time.
        accesses: of resources under locks, for recordings of lock implementations.
        final: what the servers contain afterwards.
    """

    workload: str
    strategy: str
    database: str
    faults: tuple[str, ...]
    seed: int
    settings: Mapping[str, JsonValue] = field(default_factory=dict)
    environment: Mapping[str, JsonValue] = field(default_factory=dict)
    phases: Phases = field(default_factory=Phases)
    operations: tuple[Operation, ...] = ()
    fault_log: tuple[FaultEvent, ...] = ()
    accesses: tuple[LockAccess, ...] = ()
    final: FinalState = field(default_factory=FinalState)
