"""What the partition processors of one worker share, and what they count."""

from collections.abc import Callable
from dataclasses import dataclass

from stockade.kafka.options import KafkaOptions
from stockade.kafka.producer import Producer
from stockade.store import SqlStore
from stockade.store.consumer_offsets import ConsumerOffsets

Report = Callable[..., None]  # logs for operators: an event and its fields


@dataclass(slots=True)
class WorkerStats:
    """What the partition processors of a worker have done.

    Attributes:
        decided: commands with an outcome.
        batches: transactions that moved a position.
        dead: dead letters written.
        retries: batches that had to be tried again.
        stale: batches that were rolled back because another worker has the partition.
    """

    decided: int = 0
    batches: int = 0
    dead: int = 0
    retries: int = 0
    stale: int = 0


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """What the partition processors of a worker share.

    Attributes:
        store: decides.
        offsets: of the topic, in the database.
        producer: of replies and dead letters.
        options: the codec and the names of the topics.
        max_batch: messages in one transaction.
        wait_s: the longest one attempt at a batch may take, in seconds.
        report: logs an event and its fields.
        stats: see `WorkerStats`.
    """

    store: SqlStore
    offsets: ConsumerOffsets
    producer: Producer
    options: KafkaOptions
    max_batch: int
    wait_s: float
    report: Report
    stats: WorkerStats
