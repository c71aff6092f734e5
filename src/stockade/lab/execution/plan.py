"""What a user asked the lab to do, and which strategies that means. Values and pure choices."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from stockade.lab.execution.contender import Entrant, everyone
from stockade.lab.fault import Fault
from stockade.lab.preset import Arm
from stockade.lab.targets.kafka_servers import Brokers
from stockade.lab.targets.redis_servers import RedisServers

WARM_UPS = 2


@dataclass(frozen=True, slots=True)
class Plan:
    """A lab run. None means: as the preset says.

    Attributes:
        arms: names and arms, in the order to run.
        entrants: strategies and their forms; None for every strategy that can run here.
        database: `sqlite`, `postgres`, `mariadb`, or a URL.
        redis: URLs of Redis servers separated by commas; empty: private ones, where they are needed.
        kafka: brokers, `host:port,…`; empty: a private one, where it is needed.
        partitions: of the topic of a strategy over a log.
        workers: processes that decide for such a strategy.
        processes: how many take orders.
        buyers: how many come at once.
        stock: units, or points in the account, before they come.
        repeats: timed repeats of each run.
        pool_size: connections of each process.
        wait_s: longest time one command may wait for its turn (seeds: 5 s).
        faults: what happens meanwhile, one run for each; none for the usual run.
    """

    arms: Sequence[tuple[str, Arm]]
    entrants: Sequence[Entrant] | None = None
    database: str = "sqlite"
    redis: str = ""
    kafka: str = ""
    partitions: int = 3
    workers: int = 1
    processes: int = 1
    buyers: int | None = None
    stock: int | None = None
    repeats: int | None = None
    pool_size: int = 4
    wait_s: float = 5.0
    faults: Sequence[Fault] = ()

    @property
    def widest_name(self) -> int:
        """Characters of the longest name that can take part."""
        return max(len(each.name) for each in self.entrants or everyone(with_forms=bool(self.faults)))

    def redis_wanted(self, database: str) -> int:
        """How many Redis servers the run needs. The default run on SQLite is the one that needs nothing installed.

        Args:
            database: name of the dialect.
        """
        if self.entrants is None and database == "sqlite" and not self.redis:
            return 0
        return max(entrant.redis_servers for entrant in self.entrants or everyone(with_forms=False))

    @property
    def kafka_wanted(self) -> bool:
        """Whether the run needs Apache Kafka: a broker takes seconds to start, so somebody has to ask for it."""
        return bool(self.kafka) if self.entrants is None else any(each.over_log for each in self.entrants)

    @property
    def connections(self) -> int:
        """How many connections to the database all processes together may open."""
        return self.pool_size * (self.processes + (self.workers if self.kafka_wanted else 0))


class Choice(NamedTuple):
    """Who runs on an arm, and who is left out with the reason."""

    run: list[Entrant]
    left_out: list[tuple[str, str]]


def choose(
    arm: Arm, wanted: Sequence[Entrant] | None, database: str, redis: RedisServers, kafka: Brokers | None = None
) -> Choice:
    """Who runs on this arm and database.

    Args:
        arm: may be meant for some strategies or databases only.
        wanted: entrants, or None for every strategy.
        database: name of the dialect.
        redis: the servers there are.
        kafka: the brokers there are; None: none.
    """
    brokers = kafka or Brokers()
    if database in arm.not_on:
        return Choice([], [("all", f"not applicable on {database}")])
    choice = Choice([], [])
    for entrant in wanted or everyone(with_forms=False):
        meant = not arm.strategies or entrant.strategy in arm.strategies
        why = f"this preset is for {', '.join(arm.strategies)}"
        if meant:
            why = why_not(entrant, database) or redis.why_not(entrant) or brokers.why_not(entrant)
        if not why:
            choice.run.append(entrant)
        elif wanted or meant:
            choice.left_out.append((entrant.name, why))
    return choice


def why_not(entrant: Entrant, database: str) -> str:
    """Why an entrant cannot run here, whatever Redis servers and brokers there are; empty when it can."""
    guarantees = entrant.guarantees
    if ("mariadb" if database == "mysql" else database) not in guarantees.databases:
        return f"runs on {', '.join(guarantees.databases)}, not on {database}"
    return ""
