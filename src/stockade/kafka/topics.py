"""Topics, and a reader of replies.

confluent-kafka is an optional extra, so it is imported when the first of these is made. What leaves this module is on
the caller's event loop or says on which thread it is called. Neighbours: `kafka_writer` writes, `kafka_group` reads as
a group.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any, NamedTuple

from stockade.core import Busy
from stockade.kafka.client import CALL_S, Admin, client, common, down, make
from stockade.kafka.options import KafkaOptions
from stockade.kafka.security import Brokers

POLL_S = 0.1  # how long a thread sleeps inside the client before it looks whether it shall end
END_S = 5.0  # longest wait for a thread to end
PAUSE_S = 1.0  # before a new client takes the place of one that has ended
COMMANDS = {"cleanup.policy": "delete", "retention.ms": str(7 * 24 * 3_600_000)}
DEAD = {"cleanup.policy": "delete", "retention.ms": "-1"}
SHORT_S = 0.001  # how long a reader waits for company of the first message

log = logging.getLogger(__name__)


class Record(NamedTuple):
    """A message as read."""

    part: int
    offset: int
    key: bytes | None
    value: bytes
    headers: Mapping[str, bytes]


class Topics:
    """Makes and removes topics. Blocks: call it in a thread.

    Args:
        brokers: see `Brokers`.

    Raises:
        NotSupported: no client library, or settings that it cannot use.
    """

    def __init__(self, brokers: Brokers) -> None:
        self._admin = Admin(brokers)

    def ensure(self, topic: str, parts: int, replication: int, config: Mapping[str, str]) -> int:
        """Make a topic unless it is there; how many partitions it has.

        Raises:
            Busy: the brokers cannot be reached, or refuse (code DEPENDENCY_DOWN).
        """
        from confluent_kafka import KafkaError, KafkaException
        from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]  # its stub forgets to export it

        new = NewTopic(topic, num_partitions=parts, replication_factor=replication, config=dict(config))
        try:
            self._admin.result(self._admin.client.create_topics([new], request_timeout=CALL_S)[topic], CALL_S)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise down(error) from error
        return self.parts(topic) or parts

    def parts(self, topic: str) -> int:
        """How many partitions a topic has, 0 when there is none.

        Raises:
            Busy: the brokers cannot be reached.
        """
        found = self._admin.metadata(topic, CALL_S)
        return 0 if found is None or found.error is not None else len(found.partitions)

    def remove(self, topic: str) -> None:
        """Remove a topic; one that is gone is fine.

        Raises:
            Busy: the brokers cannot be reached, or refuse.
        """
        from confluent_kafka import KafkaError, KafkaException

        try:
            self._admin.result(self._admin.client.delete_topics([topic], request_timeout=CALL_S)[topic], CALL_S)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise down(error) from error


class Replies:
    """Reads the reply topic of this instance on a thread and hands every message to the event loop.

    The client goes on by itself while the brokers are away. What ends it, such as a fatal error, costs one client: the
    next one reads on from where it ended.

    Args:
        brokers: see `Brokers`.
        topic: with one partition; read from its start.
        heard: called on the loop with the value of each message.
    """

    def __init__(self, brokers: Brokers, topic: str, heard: Callable[[bytes], None]) -> None:
        client()
        self._brokers, self._topic, self._heard = brokers, topic, heard
        self._loop = asyncio.get_running_loop()
        self._next = 0  # offset to read from
        self._stop = threading.Event()
        consumer = self._open()  # here, so that the caller is told of settings that the client cannot use
        self._thread = threading.Thread(target=self._run, args=(consumer,), name="stockade-kafka-replies", daemon=True)
        self._thread.start()

    def _open(self) -> Any:
        settings = {
            **common(self._brokers),
            "group.id": self._topic,  # asked for by the client; nothing is ever committed under it
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 100,  # a message ends the wait; a short one only costs requests
            "fetch.min.bytes": 1,
        }
        consumer = make(client().Consumer, settings)
        consumer.assign([client().TopicPartition(self._topic, 0, self._next)])
        return consumer

    def _run(self, first: Any) -> None:
        consumer = first
        while consumer is not None or not (self._stop.wait(PAUSE_S) or self._loop.is_closed()):
            try:
                with closing(consumer or self._open()) as consumer:
                    self._read(consumer)
            except Exception as error:  # noqa: BLE001 - logged, and the next client begins
                log.warning("the reader of Kafka's replies has ended, the next one begins: %s", error)
            consumer = None

    def _read(self, consumer: Any) -> None:
        while not self._stop.is_set():
            messages = consumer.consume(50, SHORT_S) or consumer.consume(1, POLL_S)
            values = []
            for message in messages:
                error = message.error()
                if error is None:
                    values.append(message.value())
                    self._next = message.offset() + 1
                elif error.fatal():  # any other is a broker that is away: callers have their deadlines
                    raise client().KafkaException(error)
            if values:
                self._loop.call_soon_threadsafe(self._hand_over, values)

    def _hand_over(self, values: list[bytes]) -> None:
        for value in values:
            self._heard(value)

    def close(self) -> None:
        """End the thread. Blocks."""
        self._stop.set()
        self._thread.join(END_S)


def read_topic(brokers: Brokers, topic: str, limit: int, part: int = 0) -> list[Record]:
    """The first messages of one partition, as far as it goes now. Blocks.

    Args:
        brokers: see `Brokers`.
        topic: its name.
        limit: messages at most.
        part: number of the partition.

    Raises:
        Busy: the brokers cannot be reached, or stopped answering.
    """
    kafka = client()
    consumer: Any = make(kafka.Consumer, {**common(brokers), "group.id": f"{topic}.look", "enable.auto.commit": False})
    found: list[Record] = []
    try:
        low, high = consumer.get_watermark_offsets(kafka.TopicPartition(topic, part), timeout=CALL_S)
        consumer.assign([kafka.TopicPartition(topic, part, low)])
        end = min(high, low + limit)
        while low < end:
            messages = consumer.consume(end - low, CALL_S if not found else POLL_S)
            if not messages and not found:
                raise Busy(f"Kafka gave nothing of {topic} within {CALL_S} s", "DEPENDENCY_DOWN")
            if not messages:
                break
            for message in messages:
                if message.error() is None:
                    headers = dict(message.headers() or ())
                    found.append(Record(part, message.offset(), message.key(), message.value(), headers))
                    low = message.offset() + 1
    except kafka.KafkaException as error:
        raise down(error) from error
    finally:
        consumer.close()
    return found


def make_topics(log: KafkaOptions) -> int:
    """Make the topics of commands and of dead letters unless they are there; the number of partitions. Blocks.

    Raises:
        Busy: the brokers cannot be reached.
    """
    topics = Topics(log.brokers)
    topics.ensure(log.dead_topic, 1, log.replication, DEAD)
    return topics.ensure(log.topic, log.partitions, log.replication, COMMANDS)
