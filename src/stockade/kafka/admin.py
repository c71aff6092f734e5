"""What operators ask the brokers: how far a topic goes, and whether anybody works in a group. Nothing is changed here.

Neighbours: `shop.lag` compares the ends with the positions, the command line shows both; `kafka_log` writes and reads.
"""

from typing import Any, NamedTuple

from stockade.kafka.client import CALL_S, Admin, down
from stockade.kafka.security import Brokers


class Span(NamedTuple):
    """The messages of a partition: `first` is the oldest that is still there, `end` the next one to be written."""

    first: int
    end: int


class Watch:
    """Asks the brokers. Blocks: call it in a thread.

    Args:
        brokers: see `Brokers`.
        wait_s: the longest one question may take, in seconds.

    Raises:
        NotSupported: no client library, or settings that it cannot use.
    """

    def __init__(self, brokers: Brokers, wait_s: float = CALL_S) -> None:
        self._admin = Admin(brokers)
        self._wait_s = wait_s

    def spans(self, topic: str) -> dict[int, Span]:
        """What each partition of a topic holds; empty when there is no such topic.

        Raises:
            Busy: the brokers cannot be reached, or a partition has no leader (DEPENDENCY_DOWN).
        """
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]  # its stub forgets to export it

        found = self._admin.metadata(topic, self._wait_s)
        if found is None or found.error is not None:
            return {}
        parts = sorted(found.partitions)
        try:
            first = self._offsets(topic, parts, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
            end = self._offsets(topic, parts, OffsetSpec.latest())  # type: ignore[no-untyped-call]
        except KafkaException as error:
            raise down(error) from error
        return {part: Span(first[part], end[part]) for part in parts}

    def _offsets(self, topic: str, parts: list[int], which: Any) -> dict[int, int]:
        from confluent_kafka import TopicPartition

        asked = {TopicPartition(topic, part): which for part in parts}
        told = self._admin.client.list_offsets(asked, request_timeout=self._wait_s)
        return {each.partition: int(self._admin.result(answer, self._wait_s).offset) for each, answer in told.items()}

    def in_use(self, group: str) -> bool:
        """Whether a group has members, as far as the brokers know: who was killed counts until its session ends.

        Raises:
            Busy: the brokers cannot be reached (DEPENDENCY_DOWN).
        """
        from confluent_kafka import ConsumerGroupState, KafkaException

        idle = (ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD)
        try:
            asked = self._admin.client.list_consumer_groups(request_timeout=self._wait_s)
            answer = self._admin.result(asked, self._wait_s)
        except KafkaException as error:
            raise down(error) from error
        if answer.errors:
            raise down(answer.errors[0])
        return any(each.group_id == group and each.state not in idle for each in answer.valid)
