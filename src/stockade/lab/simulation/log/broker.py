"""A simulated broker: topics, partitions, records and their offsets, and the way of a message to it.

Neighbours: `client_library.py` writes and reads, `group.py` assigns the partitions of the commands to workers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from zlib import crc32

from stockade.kafka.message import Record
from stockade.lab.simulation.world import Process, World

MOST_LATE_S = 3.0  # by which a message may be late while its producer cannot reach the broker


@dataclass(frozen=True, slots=True)
class LogFaults:
    """What happens to messages: probabilities from 0 to 1; times in seconds.

    Attributes:
        lose: the message never arrives, and its producer hears nothing within the deadline of its caller.
        late: it arrives late, and what the same producer sends behind it too.
        lose_report: it arrives, and its producer does not hear of it.
        latency_s: the longest time of a message without these.
    """

    lose: float = 0.0
    late: float = 0.0
    lose_report: float = 0.0
    latency_s: float = 0.002


class Message(NamedTuple):
    """What a producer sends."""

    topic: str
    value: bytes
    key: bytes | None
    headers: Mapping[str, bytes]


class Broker:
    """All topics.

    Args:
        world: where it is.
        faults: see `LogFaults`.
        partitions: by topic; a topic that is not named has one.

    Attributes:
        topics: by name: the records of each partition.
    """

    def __init__(self, world: World, faults: LogFaults, partitions: Mapping[str, int]) -> None:
        self.world, self.faults = world, faults
        self.topics: dict[str, list[list[Record]]] = {
            topic: [[] for _ in range(count)] for topic, count in partitions.items()
        }
        self._watchers: list[tuple[str, Callable[[int], None]]] = []

    def watch(self, topic: str, came: Callable[[int], None]) -> None:
        """Call with the partition of each new record of a topic."""
        self._watchers.append((topic, came))

    def partitions(self, topic: str) -> list[list[Record]]:
        """The records of each partition of a topic; it is made where there is none."""
        return self.topics.setdefault(topic, [[]])

    def arrive(self, process: Process, message: Message, report: Callable[[], None]) -> None:
        """A message of a process that has reached the broker; what is in flight when a process ends may be lost."""
        rng, faults = self.world.rng, self.faults
        if process.loop.crashed and rng.random() < 0.5:
            return
        partitions = self.partitions(message.topic)
        number = crc32(message.key) % len(partitions) if message.key is not None else 0
        records = partitions[number]
        records.append(Record(number, len(records), message.key, message.value, message.headers))
        for topic, came in self._watchers:
            if topic == message.topic:
                came(number)
        if not faults.lose_report or rng.random() >= faults.lose_report:
            report()
