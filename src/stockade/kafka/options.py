"""Where the log is and how it is used. Values only: nothing here needs a Kafka client.

Neighbours: `options` carries it to the strategy, `shop.wiring` fills it from the settings, `shop.worker` reads with it.
"""

from dataclasses import dataclass, field
from typing import Protocol

from stockade.core import Command, Key
from stockade.kafka.security import KafkaBrokers, KafkaSecurity

PROTOCOLS = ("classic", "consumer")


class Encode(Protocol):
    """Makes a command's message."""

    def __call__(self, command: Command, reply_to: bytes = b"", ticket: int = 0, /) -> bytes:
        """The bytes of a command.

        Args:
            command: what to do.
            reply_to: the service instance that waits for the outcome; empty: none does.
            ticket: by which that instance knows its caller.
        """


@dataclass(frozen=True, slots=True)
class KafkaOptions:
    """The log of commands.

    Attributes:
        encode: see `Encode`.
        bootstrap: brokers to ask first, `host:port,…`.
        topic: commands; `TOPIC.dead` takes those that cannot be carried out, `TOPIC.replies.…` the outcomes.
        partitions: of a topic that is made now (seed 004: 3); one that exists keeps its own.
        replication: copies of a topic that is made now; -1: as the brokers are configured.
        group: of the workers; all workers of one topic are in one group.
        protocol: how the group shares partitions: `classic` (cooperative-sticky) or `consumer` (KIP-848).
        security: encryption and login of every client.
        session_ms: classic only: after how long without a sign of life a worker's partitions go to others.
    """

    encode: Encode
    bootstrap: str = "127.0.0.1:9092"
    topic: str = "stockade.commands"
    partitions: int = 3
    replication: int = -1
    group: str = "stockade-workers"
    protocol: str = "classic"
    session_ms: int = 10_000
    security: KafkaSecurity = field(default_factory=KafkaSecurity)

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
        """Where messages go that cannot be carried out."""
        return f"{self.topic}.dead"

    def reply_topic(self, instance: str) -> str:
        """Where the outcomes for one service instance go."""
        return f"{self.topic}.replies.{instance}"


def message_key(command: Command) -> Key | None:
    """What decides the partition: the smallest stock key, else the smallest key; None spreads.

    Orders that share their smallest SKU are decided by one worker in the order they were taken. The other SKUs of an
    order are protected by row locks, not by the partition.
    """
    keys = command.keys
    return min((key for key in keys if key.kind == "stock"), default=None) or min(keys, default=None)
