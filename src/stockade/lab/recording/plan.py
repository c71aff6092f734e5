"""What one recording is: the options as values. Neighbour: `engine.py` carries it out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stockade.core import JsonValue
from stockade.lab.model.contender import Contender
from stockade.lab.recording.fault import Fault
from stockade.lab.site.needs import SMALL_POOL
from stockade.lab.workloads.workload import Workload
from stockade.shop.application import PATH
from stockade.strategies.options import Options

LEASE_S = 1.0
SMALLEST_POOL = 2
LOG_RECOVERY_S = 15.0  # where a log worker is stopped or killed: its partitions go to others after its session
SERVED_SHARE = 0.7  # of the tries that nothing disturbs: what a strategy that protects its rows must decide at least


@dataclass(frozen=True, slots=True)
class RecordingPlan:
    """One recording.

    Attributes:
        workload: what is sent.
        contender: the strategy and its form.
        database: `sqlite`, `postgres`, `mariadb`, or a URL.
        faults: all of them happen, at about the same time unless `schedule` is `drawn`.
        seed: of the workload, the clients and the schedule.
        seconds: of load; faults happen in the middle.
        processes: that run the service.
        clients: of a closed loop, or the most requests in flight of an open one; 0: as the workload says.
        rate: requests per second of an open loop; 0: closed.
        pool_size: connections of each process.
        wait_s: deadline of one command, in seconds; a fault may need a longer one, see `deadline_s`.
        lease_s: of a lock, in seconds.
        partitions: of the topic, under `kafka`.
        workers: processes that decide what is in it.
        redis: URLs separated by commas; empty: private servers, where the strategy needs them.
        kafka: `host:port,…`; empty: a private broker, where the strategy needs it.
        app: where processes find the application, `MODULE:ATTRIBUTE`.
        schedule: `combined` or `drawn`, see `schedule.py`.
        every_s: seconds between two faults of a drawn schedule.
    """

    workload: Workload
    contender: Contender
    database: str = "sqlite"
    faults: Sequence[Fault] = ()
    seed: int = 0
    seconds: float = 5.0
    processes: int = 2
    clients: int = 0
    rate: float = 0.0
    pool_size: int = 4
    wait_s: float = 2.0
    lease_s: float = LEASE_S
    partitions: int = 3
    workers: int = 2
    redis: str = ""
    kafka: str = ""
    app: str = PATH
    schedule: str = "combined"
    every_s: float = 5.0

    @property
    def connections(self) -> int:
        """How many connections to the database all processes together may open, with those of their registrations."""
        workers = self.workers if self.contender.needs_kafka else 0
        return (2 * self.pool_size + 1) * (self.processes + workers)

    @property
    def deadline_s(self) -> float:
        """Deadline of one command, in seconds, long enough for the faults."""
        return max([self.wait_s, *(fault.least_wait_s for fault in self.faults)])

    @property
    def recovery_s(self) -> float:
        """Time within which the rate must be back after the last healing: the longest that a fault allows."""
        hits_log = self.contender.needs_kafka and any(fault.fault_points for fault in self.faults)
        return max([LOG_RECOVERY_S * hits_log, *(fault.recovery_s for fault in self.faults)])

    @property
    def needs(self) -> frozenset[str]:
        """What all faults need together, names of `site/needs.py`."""
        return frozenset().union(*(fault.needs for fault in self.faults))

    @property
    def open_connections(self) -> int:
        """Connections of each process, of the service and of the command log: few under a fault that wants few."""
        return SMALLEST_POOL if SMALL_POOL in self.needs else self.pool_size

    @property
    def options(self) -> Options:
        """The parameters of the strategy, without the addresses of servers."""
        return self.contender.options(Options(wait_s=self.deadline_s, lease_s=self.lease_s))

    @property
    def settings(self) -> Mapping[str, JsonValue]:
        """For the history: what repeats the recording, beside workload, strategy, database, faults and seed."""
        names = ("seconds", "processes", "clients", "rate", "pool_size", "lease_s", "app", "schedule")
        found: dict[str, JsonValue] = {name: getattr(self, name) for name in names}
        found["wait_s"] = self.deadline_s
        found["clients"] = self.clients or self.workload.load.clients
        guarantees = self.contender.guarantees
        if not guarantees.may_oversell:
            found["served_share"] = SERVED_SHARE
        found["fifo"] = self.workload.load.one_row and guarantees.order == "fifo"
        if self.faults:
            found["recovery_s"] = self.recovery_s
        if self.schedule == "drawn":
            found["every_s"] = self.every_s
        if self.contender.needs_kafka:
            found |= {"partitions": self.partitions, "workers": self.workers}
        return found
