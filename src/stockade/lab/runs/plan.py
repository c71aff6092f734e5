"""The plan of a run: what the options say, and which contenders that means. Values and pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from stockade.lab.execution.aimed_fault import AimedFault
from stockade.lab.model.contender import Contender, all_contenders, payment_contenders, why_not_paying
from stockade.lab.model.preset import Variant
from stockade.lab.targets.kafka_servers import KafkaServers
from stockade.lab.targets.redis_servers import RedisServers
from stockade.service import Application, find_application
from stockade.shop.application import PATH

WARM_UPS = 2


@dataclass(frozen=True, slots=True)
class Plan:
    """A lab run. None means: as the preset says.

    Attributes:
        variants: names and variants, in the order to run.
        contenders: strategies and their forms; None for every strategy that can run here.
        database: `sqlite`, `postgres`, `mariadb`, or a URL.
        redis: URLs of Redis servers separated by commas; empty: private ones, if needed.
        kafka: Kafka's bootstrap servers, `host:port,…`; empty: a private one, if needed.
        partitions: of the topic of a strategy over a log.
        workers: processes that decide for such a strategy.
        processes: processes that execute orders.
        buyers: commands that are sent at once.
        stock: units, or points in the account, before the orders.
        repeats: timed repeats of each run.
        pool_size: connections of each process.
        wait_s: longest time that one command may wait for its locks, in seconds.
        faults: one run for each; none for a run without faults.
        app: where child processes find the application, `MODULE:ATTRIBUTE`.
    """

    variants: Sequence[tuple[str, Variant]]
    contenders: Sequence[Contender] | None = None
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
    faults: Sequence[AimedFault] = ()
    app: str = PATH

    @property
    def application(self) -> Application:
        """The application whose commands are run.

        Raises:
            UnknownApplication: it cannot be imported.
        """
        return find_application(self.app)

    @property
    def longest_name(self) -> int:
        """Characters of the longest name that can take part."""
        if self.contenders is not None:
            return max(len(each.name) for each in self.contenders)
        found = all_contenders(with_forms=bool(self.faults)) + (payment_contenders() if self.pays else [])
        return max(len(each.name) for each in found)

    @property
    def pays(self) -> bool:
        """Whether the run needs a payment gateway."""
        return any(variant.payment is not None for _, variant in self.variants)

    def redis_wanted(self, database: str) -> int:
        """How many Redis servers the run needs: none by default on SQLite, so that the first run needs no server.

        Args:
            database: name of the dialect.
        """
        if self.contenders is None and database == "sqlite" and not self.redis:
            return 0
        return max(each.redis_servers for each in self.contenders or all_contenders(with_forms=False))

    @property
    def kafka_wanted(self) -> bool:
        """Whether the run needs Apache Kafka. A broker takes seconds to start, so only an option can say so."""
        return bool(self.kafka) if self.contenders is None else any(each.needs_kafka for each in self.contenders)

    @property
    def connections(self) -> int:
        """How many connections to the database all processes together may open."""
        return self.pool_size * (self.processes + (self.workers if self.kafka_wanted else 0))


class Choice(NamedTuple):
    """Which contenders run on a variant, and which are left out with the reason."""

    run: list[Contender]
    left_out: list[tuple[str, str]]


def choose(
    variant: Variant,
    wanted: Sequence[Contender] | None,
    database: str,
    redis: RedisServers,
    kafka: KafkaServers | None = None,
) -> Choice:
    """Which contenders run on this variant and database.

    Args:
        variant: may support some strategies or databases only.
        wanted: the user's contenders, or None for every strategy.
        database: name of the dialect.
        redis: the Redis servers of the run.
        kafka: the Kafka servers of the run; None: there are none.
    """
    kafka = kafka or KafkaServers()
    if database in variant.excluded_databases:
        return Choice([], [("all", f"not applicable on {database}")])
    choice = Choice([], [])
    usual = all_contenders(with_forms=False) if variant.payment is None else payment_contenders()
    for contender in wanted or usual:
        supported = not variant.strategies or contender.strategy in variant.strategies
        why = f"this preset is for {', '.join(variant.strategies)}"
        if supported:
            why = (
                why_not(contender, database)
                or why_not_variant(variant, contender)
                or redis.why_not(contender)
                or kafka.why_not(contender)
            )
        if not why:
            choice.run.append(contender)
        elif wanted or supported:
            choice.left_out.append((contender.name, why))
    return choice


def why_not(contender: Contender, database: str) -> str:
    """Why a contender cannot run on this database; empty if it can."""
    guarantees = contender.guarantees
    if ("mariadb" if database == "mysql" else database) not in guarantees.databases:
        return f"runs on {', '.join(guarantees.databases)}, not on {database}"
    return ""


def why_not_variant(variant: Variant, contender: Contender) -> str:
    """Why a contender takes no part in a variant; empty if it does."""
    if variant.payment is not None:
        return "" if contender.scheme else why_not_paying(contender)
    return "a way to pay through a gateway: for the presets payment-*" if contender.scheme else ""
