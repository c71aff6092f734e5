"""What operators ask the brokers: how far a topic goes, and whether anybody works in a group. Nothing is changed here.

Neighbours: `shop.lag` compares the ends with the positions, the command line shows both; `kafka_log` writes and reads.
"""

from typing import Any, NamedTuple

from stockade.core import Busy
from stockade.strategies.kafka_log import CALL_S, client, common


class Span(NamedTuple):
    """The messages of a partition: `first` is the oldest that is still there, `end` the next one to be written."""

    first: int
    end: int


class Watch:
    """Asks the brokers. Blocks: call it in a thread.

    Args:
        bootstrap: brokers to ask first.
        wait_s: the longest one question may take, in seconds.

    Raises:
        NotSupported: no client library.
    """

    def __init__(self, bootstrap: str, wait_s: float = CALL_S) -> None:
        client()
        from confluent_kafka.admin import AdminClient

        self._admin: Any = AdminClient(common(bootstrap))
        self._wait_s = wait_s

    def spans(self, topic: str) -> dict[int, Span]:
        """What each partition of a topic holds; empty when there is no such topic.

        Raises:
            Busy: the brokers cannot be reached, or a partition has no leader (DEPENDENCY_DOWN).
        """
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]  # its stub forgets to export it

        try:
            found = self._admin.list_topics(topic, timeout=self._wait_s).topics.get(topic)
            if found is None or found.error is not None:
                return {}
            parts = sorted(found.partitions)
            first = self._offsets(topic, parts, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
            end = self._offsets(topic, parts, OffsetSpec.latest())  # type: ignore[no-untyped-call]
        except (KafkaException, TimeoutError) as error:
            raise _down(error) from error
        return {part: Span(first[part], end[part]) for part in parts}

    def _offsets(self, topic: str, parts: list[int], which: Any) -> dict[int, int]:
        from confluent_kafka import TopicPartition

        asked = {TopicPartition(topic, part): which for part in parts}
        told = self._admin.list_offsets(asked, request_timeout=self._wait_s)
        return {each.partition: int(answer.result(self._wait_s).offset) for each, answer in told.items()}

    def in_use(self, group: str) -> bool:
        """Whether a group has members, as far as the brokers know: who was killed counts until its session ends.

        Raises:
            Busy: the brokers cannot be reached (DEPENDENCY_DOWN).
        """
        from confluent_kafka import ConsumerGroupState, KafkaException

        idle = (ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD)
        try:
            answer = self._admin.list_consumer_groups(request_timeout=self._wait_s).result(self._wait_s)
        except (KafkaException, TimeoutError) as error:
            raise _down(error) from error
        if answer.errors:
            raise _down(answer.errors[0])
        return any(each.group_id == group and each.state not in idle for each in answer.valid)


def _down(error: Exception) -> Busy:
    return Busy(f"Kafka cannot be reached or refuses: {error}", "DEPENDENCY_DOWN")
