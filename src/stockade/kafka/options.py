"""Where the topic of commands is and how it is used. Values only: nothing here needs a Kafka client.

Neighbours: `strategies.options` hands it to the strategy, `shop.config.strategy_options` fills it from the settings,
`worker` reads the topic that it names.
"""

from dataclasses import dataclass, field
from typing import Final

from stockade.core import Guard
from stockade.kafka.message import Codec, ContextCarrier
from stockade.kafka.security import KafkaBrokers, KafkaSecurity

PROTOCOLS = ("classic", "consumer")
WORKER_GUARD: Final = Guard.ROW  # under which the workers decide


@dataclass(frozen=True, slots=True)
class KafkaOptions:
    """The topic of commands.

    Attributes:
        codec: writes and reads the application's commands.
        bootstrap: brokers to connect to first, `host:port,…`.
        topic: commands; `TOPIC.dead` takes those that cannot be executed, `TOPIC.replies.…` the outcomes.
        partitions: of a topic that is created now; an existing topic keeps its own.
        replication: copies of a topic that is created now; -1: as the brokers are configured.
        group: of the workers; all workers of one topic are in one group.
        protocol: how the group assigns partitions: `classic` (cooperative-sticky) or `consumer` (KIP-848).
        session_ms: classic only: the partitions of a worker without a heartbeat for so long go to other workers.
        security: encryption and login of every client.
        partition_kind: the kind of the keys that choose the partition, see `message_key`; empty: the smallest key.
        context: carries traces from the callers to the workers; None: messages have no headers.
    """

    codec: Codec
    bootstrap: str = "127.0.0.1:9092"
    topic: str = "stockade.commands"
    partitions: int = 3
    replication: int = -1
    group: str = "stockade-workers"
    protocol: str = "classic"
    session_ms: int = 10_000
    security: KafkaSecurity = field(default_factory=KafkaSecurity)
    partition_kind: str = ""
    context: ContextCarrier | None = None

    def __post_init__(self) -> None:
        if not self.bootstrap or not self.topic or not self.group:
            raise ValueError("Kafka needs bootstrap, topic and group")
        if self.partitions < 1 or (self.replication < 1 and self.replication != -1):
            raise ValueError("partitions must be at least 1, replication at least 1, or -1 for the brokers' own")
        if self.protocol not in PROTOCOLS:
            raise ValueError(f"protocol must be one of {', '.join(PROTOCOLS)}, not {self.protocol!r}")

    @property
    def brokers(self) -> KafkaBrokers:
        """The brokers, and how clients reach them."""
        return KafkaBrokers(self.bootstrap, self.security)

    @property
    def dead_topic(self) -> str:
        """The topic of messages that cannot be executed."""
        return f"{self.topic}.dead"

    def reply_topic(self, instance: str) -> str:
        """The topic of the outcomes for one service instance."""
        return f"{self.topic}.replies.{instance}"
