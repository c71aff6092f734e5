"""What a run of the simulator plays: the strategy, the size, the faults. Values only."""

from dataclasses import dataclass, field

from stockade.core import Backoff
from stockade.kafka.options import KafkaOptions
from stockade.lab.model.contender import Contender
from stockade.lab.simulation.database.server import DatabaseFaults
from stockade.lab.simulation.log.broker import LogFaults
from stockade.locks.testing.simulated_redis import Weather
from stockade.shop.model.command_codec import COMMAND_CODEC
from stockade.strategies.options import Options

LEASE_S = 1.0
TOPIC = KafkaOptions(COMMAND_CODEC, partitions=2)
OPTIONS = Options(wait_s=4.0, lease_s=LEASE_S, backoff=Backoff(retries=50), kafka=TOPIC)


@dataclass(frozen=True, slots=True)
class Faults:
    """What may go wrong. Probabilities from 0 to 1, times in seconds.

    Attributes:
        pause: at each statement and each call of a lock server: the process stops there, for a part of a lease up to
            twice as long as one.
        most_pauses: in one run.
        crash: likewise: the process ends there; another one takes its place.
        most_crashes: in one run.
        cancel: of an operation: its client gives up at some moment.
        cancel_step: the first client gives up at this statement or call, of any process, after it has sent its request;
            -1: at none.
        duplicate: of an operation: another client sends the same request at about the same time.
        database: the ways to the database.
        redis: the ways to the lock servers.
        failover: a replica takes the place of a lock server, without its newest writes.
        forget: a lock server starts again without its data.
        log: the ways to the broker.
        rebalance: a worker joins, and another one ends.
        rewind: a person sets a partition of the log back to its first message.
        poison: each partition has a message that nobody can read.
    """

    pause: float = 0.0
    most_pauses: int = 3
    crash: float = 0.0
    most_crashes: int = 1
    cancel: float = 0.0
    cancel_step: int = -1
    duplicate: float = 0.0
    database: DatabaseFaults = field(default_factory=DatabaseFaults)
    redis: Weather = field(default_factory=lambda: Weather(latency_s=0.001))
    failover: bool = False
    forget: bool = False
    log: LogFaults = field(default_factory=LogFaults)
    rebalance: bool = False
    rewind: bool = False
    poison: bool = False


CALM = Faults()
STORMS: dict[str, Faults] = {
    "calm": CALM,
    "duplicates": Faults(duplicate=0.4),
    "pauses": Faults(pause=0.03),
    "crashes": Faults(crash=0.05, duplicate=0.1),
    "cancellations": Faults(cancel=0.5),
    "lost replies": Faults(
        database=DatabaseFaults(lose_request=0.02, lose_reply=0.04),
        redis=Weather(0.02, 0.04, 0.1, latency_s=0.001),
        log=LogFaults(0.02, 0.02, 0.04),
        duplicate=0.1,
    ),
    "failover": Faults(failover=True, pause=0.01),
    "restart": Faults(forget=True, pause=0.01),
    "everything": Faults(
        pause=0.02,
        crash=0.02,
        cancel=0.2,
        duplicate=0.2,
        database=DatabaseFaults(0.01, 0.02),
        redis=Weather(0.01, 0.02, 0.1, latency_s=0.001),
        failover=True,
        log=LogFaults(0.01, 0.01, 0.02),
        rebalance=True,
        rewind=True,
        poison=True,
    ),
    "rebalance": Faults(rebalance=True, pause=0.01),
    "replay": Faults(rewind=True, duplicate=0.2),
    "poison": Faults(poison=True),
}
OF_THE_LOG = ("rebalance", "replay", "poison")  # faults that only the strategy over a log has


@dataclass(frozen=True, slots=True)
class Settings:
    """One run without its seed.

    Attributes:
        contender: a strategy and its form, as in `redis-pubsub:bare`.
        storm: the name of its faults.
        faults: what may go wrong.
        processes: service processes.
        clients: that send one request after the other.
        operations: of each client.
        stock: units of each SKU at the beginning.
        balance: points of each user at the beginning.
        later_steps: share of payments and cancellations. These need rows that only the order names, which a bare lock
            does not cover.
        options: of the strategy, without what its form says.
        tries: of one request without a certain answer.
    """

    contender: str
    storm: str = "calm"
    faults: Faults = CALM
    processes: int = 2
    clients: int = 4
    operations: int = 2
    stock: int = 3
    balance: int = 40
    later_steps: float = 0.1
    options: Options = OPTIONS
    tries: int = 12

    @classmethod
    def named(cls, contender: str, storm: str = "calm", processes: int = 2) -> "Settings":
        """The usual size, with the faults of this name.

        Raises:
            ValueError: there are none of this name; the message lists those that there are.
        """
        if storm not in STORMS:
            raise ValueError(f"unknown faults {storm!r}; there are: {', '.join(STORMS)}")
        return cls(contender, storm, STORMS[storm], processes)

    @property
    def parsed(self) -> Contender:
        """The contender.

        Raises:
            LabError: there is no such strategy, or no such form of it.
        """
        return Contender.parse(self.contender)
