"""Topics and groups: create, delete, and see how far a topic goes and whether a group has members.

Every call blocks: call it in a thread. Neighbours: `worker` and the strategy `kafka` create topics, `backlog` compares
offset ranges with the positions, `dead_letters` reads a topic.
"""

import time
from collections.abc import Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

from stockade.core import Busy
from stockade.kafka.client import (
    CALL_TIMEOUT_S,
    POLL_TIMEOUT_S,
    ErrorReports,
    client_settings,
    consumer_settings,
    load_library,
    make_client,
    records_of,
    topic_metadata,
    unavailable,
)
from stockade.kafka.message import Record
from stockade.kafka.options import KafkaOptions
from stockade.kafka.security import Brokers

T = TypeVar("T")

CHECK_S = 0.05  # how often a wait for an answer checks the error reports
COMMANDS = {"cleanup.policy": "delete", "retention.ms": str(7 * 24 * 3_600_000)}
DEAD = {"cleanup.policy": "delete", "retention.ms": "-1"}


class OffsetRange(NamedTuple):
    """The messages of a partition: `first` is the oldest that still exists, `end` the next one to be written."""

    first: int
    end: int


class Admin:
    """The admin interface of the brokers. Its methods block. In a `with` block its threads end with the block.

    Args:
        brokers: see `Brokers`.
        wait_s: the longest that one call may take, in seconds.

    Raises:
        NotSupported: no client library, or settings that it cannot use.
    """

    def __init__(self, brokers: Brokers, wait_s: float = CALL_TIMEOUT_S) -> None:
        load_library()
        from confluent_kafka.admin import AdminClient

        self._wait_s = wait_s
        self._reports = ErrorReports(logged=False)
        self._client: Any = make_client(AdminClient, {**client_settings(brokers), "error_cb": self._reports})

    def __enter__(self) -> "Admin":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A thread of the client that still logs in while the process ends can crash it. The last reference would end
        # the threads too, but the trace of an error keeps one.
        if hasattr(self._client, "__exit__"):  # old releases have none
            self._client.__exit__(kind, error, trace)

    def create_topic(self, topic: str, partitions: int, replication: int, config: Mapping[str, str]) -> int:
        """Create a topic unless it exists; how many partitions it has.

        Raises:
            Busy: the brokers cannot be reached, or refuse (DEPENDENCY_DOWN).
        """
        from confluent_kafka import KafkaError, KafkaException
        from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]  # its stub forgets to export it

        new = NewTopic(topic, num_partitions=partitions, replication_factor=replication, config=dict(config))
        try:
            self._result(self._client.create_topics([new], request_timeout=self._wait_s)[topic])
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise unavailable(error) from error
        return self.partition_count(topic) or partitions

    def delete_topic(self, topic: str) -> None:
        """Delete a topic, if it exists.

        Raises:
            Busy: the brokers cannot be reached, or refuse.
        """
        from confluent_kafka import KafkaError, KafkaException

        try:
            self._result(self._client.delete_topics([topic], request_timeout=self._wait_s)[topic])
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise unavailable(error) from error

    def partition_count(self, topic: str) -> int:
        """How many partitions a topic has; 0 where there is no such topic.

        Raises:
            Busy: the brokers cannot be reached.
        """
        return len(self._partitions(topic))

    def offset_ranges(self, topic: str) -> dict[int, OffsetRange]:
        """The offset range of each partition of a topic; empty where there is no such topic.

        Raises:
            Busy: the brokers cannot be reached, or a partition has no leader (DEPENDENCY_DOWN).
        """
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]  # its stub forgets to export it

        partitions = self._partitions(topic)
        try:
            first = self._offsets(topic, partitions, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
            end = self._offsets(topic, partitions, OffsetSpec.latest())  # type: ignore[no-untyped-call]
        except KafkaException as error:
            raise unavailable(error) from error
        return {partition: OffsetRange(first[partition], end[partition]) for partition in partitions}

    def has_members(self, group: str) -> bool:
        """Whether a group has members. A killed process counts as one until its session ends.

        Raises:
            Busy: the brokers cannot be reached (DEPENDENCY_DOWN).
        """
        from confluent_kafka import ConsumerGroupState, KafkaException

        idle = (ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD)
        try:
            groups = self._result(self._client.list_consumer_groups(request_timeout=self._wait_s))
        except KafkaException as error:
            raise unavailable(error) from error
        if groups.errors:
            raise unavailable(groups.errors[0])
        return any(each.group_id == group and each.state not in idle for each in groups.valid)

    def _partitions(self, topic: str) -> list[int]:
        found = topic_metadata(self._client, self._reports, topic, self._wait_s)
        return [] if found is None else sorted(found.partitions)

    def _offsets(self, topic: str, partitions: list[int], spec: Any) -> dict[int, int]:
        from confluent_kafka import TopicPartition

        wanted = {TopicPartition(topic, partition): spec for partition in partitions}
        answers = self._client.list_offsets(wanted, request_timeout=self._wait_s)
        return {each.partition: int(self._result(answer).offset) for each, answer in answers.items()}

    def _result(self, answer: "Future[T]") -> T:
        """Wait for the answer of the brokers.

        Raises:
            Busy: the brokers refuse this client, or did not answer in time (DEPENDENCY_DOWN).
            KafkaException: the error that they answered.
        """
        kafka = load_library()
        end_s = time.monotonic() + self._wait_s
        while True:
            try:
                return answer.result(CHECK_S)
            except TimeoutError:
                self._check_reports()
                if time.monotonic() >= end_s:
                    raise self._reports.no_answer(self._wait_s) from None
            except kafka.KafkaException as error:
                self._check_reports()
                if error.args[0].code() == kafka.KafkaError._TIMED_OUT:  # noqa: SLF001
                    raise self._reports.no_answer(self._wait_s) from error
                raise

    def _check_reports(self) -> None:
        self._client.poll(0)
        self._reports.raise_refusal()


def create_topic(brokers: Brokers, topic: str, partitions: int, replication: int, config: Mapping[str, str]) -> int:
    """`Admin.create_topic` of a client of its own, which ends with the call. Blocks."""
    with Admin(brokers) as admin:
        return admin.create_topic(topic, partitions, replication, config)


def delete_topic(brokers: Brokers, topic: str) -> None:
    """`Admin.delete_topic` of a client of its own, which ends with the call. Blocks."""
    with Admin(brokers) as admin:
        admin.delete_topic(topic)


def create_topics(options: KafkaOptions) -> int:
    """Create the topics of commands and of dead letters unless they exist; the number of partitions. Blocks.

    Raises:
        Busy: the brokers cannot be reached.
    """
    with Admin(options.brokers) as admin:
        admin.create_topic(options.dead_topic, 1, options.replication, DEAD)
        return admin.create_topic(options.topic, options.partitions, options.replication, COMMANDS)


def read_topic(brokers: Brokers, topic: str, limit: int, partition: int = 0) -> list[Record]:
    """The oldest messages of one partition, up to its present end. Blocks.

    Args:
        brokers: see `Brokers`.
        topic: its name.
        limit: messages at most.
        partition: its number.

    Raises:
        Busy: the brokers cannot be reached, or stopped answering.
    """
    kafka = load_library()
    consumer: Any = make_client(kafka.Consumer, consumer_settings(brokers, f"{topic}.look"))
    found: list[Record] = []
    try:
        first, end = consumer.get_watermark_offsets(kafka.TopicPartition(topic, partition), timeout=CALL_TIMEOUT_S)
        consumer.assign([kafka.TopicPartition(topic, partition, first)])
        wanted, offset = min(end, first + limit), first
        while offset < wanted:
            messages = consumer.consume(wanted - offset, POLL_TIMEOUT_S if found else CALL_TIMEOUT_S)
            if not messages and not found:
                raise Busy(f"Kafka gave nothing of {topic} within {CALL_TIMEOUT_S} s", "DEPENDENCY_DOWN")
            if not messages:  # the last offsets may hold no message, e.g. markers of transactions
                break
            found += records_of(messages)
            offset = found[-1].offset + 1 if found else offset
    except kafka.KafkaException as error:
        raise unavailable(error) from error
    finally:
        consumer.close()
    return found
