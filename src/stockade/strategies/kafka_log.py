"""What all that speaks to Kafka shares, topics, and a reader of replies.

confluent-kafka is an optional extra, so it is imported when the first of these is made. What leaves this module is on
the caller's event loop or says on which thread it is called. Neighbours: `kafka_writer` writes, `kafka_group` reads as
a group.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, NamedTuple

from stockade.core import Busy, NotSupported

POLL_S = 0.1  # how long a thread sleeps inside the client before it looks whether it shall end
CALL_S = 15.0  # longest wait for an answer of the admin interface
END_S = 5.0  # longest wait for a thread to end
SHORT_S = 0.001  # how long a reader waits for company of the first message


class Record(NamedTuple):
    """A message as read."""

    part: int
    offset: int
    key: bytes | None
    value: bytes
    headers: Mapping[str, bytes]


def client() -> ModuleType:
    """The client library.

    Raises:
        NotSupported: it is not installed.
    """
    try:
        import confluent_kafka
    except ModuleNotFoundError as error:
        raise NotSupported("the strategy kafka needs confluent-kafka: pip install 'stockade[kafka]'") from error
    return confluent_kafka


def common(bootstrap: str) -> dict[str, Any]:
    """Settings of every client: no chatter on standard error, quick reconnects."""
    return {
        "bootstrap.servers": bootstrap,
        "log_level": 0,
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1_000,
        "topic.metadata.refresh.interval.ms": 30_000,
    }


class Topics:
    """Makes and removes topics. Blocks: call it in a thread."""

    def __init__(self, bootstrap: str) -> None:
        from confluent_kafka.admin import AdminClient

        self._admin: Any = AdminClient(common(bootstrap))

    def ensure(self, topic: str, parts: int, replication: int, config: Mapping[str, str]) -> int:
        """Make a topic unless it is there; how many partitions it has.

        Raises:
            Busy: the brokers cannot be reached, or refuse (code DEPENDENCY_DOWN).
        """
        from confluent_kafka import KafkaError, KafkaException
        from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]  # its stub forgets to export it

        new = NewTopic(topic, num_partitions=parts, replication_factor=replication, config=dict(config))
        try:
            self._admin.create_topics([new], request_timeout=CALL_S)[topic].result(CALL_S)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise down(error) from error
        except TimeoutError as error:
            raise down(error) from error
        return self.parts(topic) or parts

    def parts(self, topic: str) -> int:
        """How many partitions a topic has, 0 when there is none.

        Raises:
            Busy: the brokers cannot be reached.
        """
        from confluent_kafka import KafkaException

        try:
            found = self._admin.list_topics(topic, timeout=CALL_S).topics.get(topic)
        except KafkaException as error:
            raise down(error) from error
        return 0 if found is None or found.error is not None else len(found.partitions)

    def remove(self, topic: str) -> None:
        """Remove a topic; one that is gone is fine.

        Raises:
            Busy: the brokers cannot be reached, or refuse.
        """
        from confluent_kafka import KafkaError, KafkaException

        try:
            self._admin.delete_topics([topic], request_timeout=CALL_S)[topic].result(CALL_S)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise down(error) from error
        except TimeoutError as error:
            raise down(error) from error


def down(error: Exception) -> Busy:
    """What a client's error is to a caller."""
    return Busy(f"Kafka cannot be reached or refuses: {error}", "DEPENDENCY_DOWN")


class Replies:
    """Reads the reply topic of this instance on a thread and hands every message to the event loop.

    Args:
        bootstrap: the brokers.
        topic: with one partition; read from its start.
        heard: called on the loop with the value of each message.
    """

    def __init__(self, bootstrap: str, topic: str, heard: Callable[[bytes], None]) -> None:
        kafka = client()
        self._loop = asyncio.get_running_loop()
        self._heard = heard
        self._consumer: Any = kafka.Consumer(
            {
                **common(bootstrap),
                "group.id": topic,  # asked for by the client; nothing is ever committed under it
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 100,  # a message ends the wait; a short one only costs requests
                "fetch.min.bytes": 1,
            }
        )
        self._consumer.assign([kafka.TopicPartition(topic, 0, 0)])
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, name="stockade-kafka-replies", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        consumer = self._consumer
        while not self._stop.is_set():
            messages = consumer.consume(50, SHORT_S) or consumer.consume(1, POLL_S)
            # an error here is a broker that is away: the client goes on trying, and callers have their deadlines
            values = [message.value() for message in messages if message.error() is None]
            if values:
                self._loop.call_soon_threadsafe(self._hand_over, values)
        consumer.close()

    def _hand_over(self, values: list[bytes]) -> None:
        for value in values:
            self._heard(value)

    def close(self) -> None:
        """End the thread. Blocks."""
        self._stop.set()
        self._thread.join(END_S)


def read_topic(bootstrap: str, topic: str, limit: int, part: int = 0) -> list[Record]:
    """The first messages of one partition, as far as it goes now. Blocks.

    Args:
        bootstrap: the brokers.
        topic: its name.
        limit: messages at most.
        part: number of the partition.

    Raises:
        Busy: the brokers cannot be reached, or stopped answering.
    """
    kafka = client()
    consumer: Any = kafka.Consumer({**common(bootstrap), "group.id": f"{topic}.look", "enable.auto.commit": False})
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
