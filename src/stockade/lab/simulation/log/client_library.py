"""Producer, consumer and reader of replies over the simulated broker, in the place of those of `stockade.kafka`.

What is above them is that of production: the strategy `kafka`, the worker, its partition processors, the codecs. What
is below them, the threads and the client library of Kafka, is not here.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from stockade.core import Busy
from stockade.kafka.consumer import PartitionListener
from stockade.kafka.options import KafkaOptions
from stockade.kafka.producer import OnDelivery
from stockade.lab.simulation.log.broker import MOST_LATE_S, Broker, Message
from stockade.lab.simulation.log.group import Group
from stockade.lab.simulation.world import Process, World


def _this_process(world: World) -> Process:
    loop = asyncio.get_running_loop()
    return next(each for each in world.processes if each.loop.as_asyncio is loop)


class SimulatedProducer:
    """As `stockade.kafka.producer.Producer`: what one sends arrives in order."""

    def __init__(self, broker: Broker) -> None:
        self._broker, self._world = broker, broker.world
        self._process = _this_process(broker.world)
        self._busy_until = 0.0

    def send(
        self,
        topic: str,
        value: bytes,
        *,
        key: bytes | None = None,
        headers: Mapping[str, bytes] | None = None,
        on_delivery: OnDelivery | None = None,
    ) -> None:
        world, faults, rng = self._world, self._broker.faults, self._world.rng
        world.step(self._process)
        lost = rng.random() if faults.lose or faults.late else 1.0
        if lost < faults.lose:
            return
        late_s = rng.random() * MOST_LATE_S if lost < faults.lose + faults.late else 0.0
        self._busy_until = max(self._busy_until, world.now + rng.random() * faults.latency_s + late_s) + 1e-7
        message = Message(topic, value, key, dict(headers or {}))

        def report() -> None:
            if on_delivery is not None:
                self._process.loop.call_soon(on_delivery, None)

        world.after(self._busy_until - world.now, lambda: self._broker.arrive(self._process, message, report))

    enqueue = send

    async def deliver(
        self, topic: str, value: bytes, *, key: bytes | None, headers: Mapping[str, bytes], wait_s: float
    ) -> None:
        delivered = asyncio.Event()
        self.send(topic, value, key=key, headers=headers, on_delivery=lambda error: delivered.set())
        try:
            async with asyncio.timeout(wait_s):
                await delivered.wait()
        except TimeoutError as late:
            raise Busy(f"the broker did not confirm within {wait_s} s", "DEPENDENCY_DOWN") from late

    def send_batch(self) -> None:
        """Nothing waits."""

    def poll(self) -> None:
        """Reports come by themselves."""

    def fetch_metadata(self, topic: str, wait_s: float = 0.0) -> None:
        """Nothing to learn."""

    def close(self) -> None:
        """Nothing to close."""


class SimulatedConsumer:
    """As `stockade.kafka.consumer.Consumer`: one member of the group; calls and records keep their order."""

    def __init__(self, broker: Broker, group: Group, options: KafkaOptions, listener: PartitionListener) -> None:
        self.process = _this_process(broker.world)
        self._broker, self._group, self._world = broker, group, broker.world
        self._topic, self._listener = options.topic, listener
        self._assigned: set[int] = set()
        self._position: dict[int, int] = {}  # of partitions that are read
        self._paused: set[int] = set()
        self._busy_until = 0.0
        self._closed = False

    def start(self) -> None:
        self._broker.watch(self._topic, lambda partition: self._later(lambda: self._fetch(partition)))
        self._group.join(self)

    def close(self) -> None:
        self._closed = True
        self._group.leave(self)

    # -- called by the worker ------------------------------------------------------------------------------

    def seek(self, partition: int, offset: int) -> None:
        def call() -> None:
            if partition in self._assigned:
                self._position[partition] = offset
                self._paused.discard(partition)
                self._tell(self._listener.seek_done, partition)
                self._fetch(partition)

        self._later(call)

    def pause(self, partition: int) -> None:
        self._later(lambda: self._paused.add(partition))

    def resume(self, partition: int) -> None:
        def call() -> None:
            self._paused.discard(partition)
            self._fetch(partition)

        self._later(call)

    def reassign(self, partition: int) -> None:
        def call() -> None:
            if partition in self._assigned:
                end = len(self._broker.partitions(self._topic)[partition])
                self._tell(self._listener.assigned, partition, 0, end)

        self._later(call)

    def store_offset(self, partition: int, offset: int) -> None:
        """Only lag figures would need it."""

    # -- called by the group -------------------------------------------------------------------------------

    # All three wait in the queue of the process: one that is paused hears of them in order, when it runs again.

    def assign(self, partition: int) -> None:
        def call() -> None:
            self._assigned.add(partition)
            self.reassign(partition)

        self._tell(call)

    def revoke(self, partition: int, done: Callable[[], None]) -> None:
        def call() -> None:
            self._assigned.discard(partition)  # nothing is read meanwhile
            self._position.pop(partition, None)
            task = self.process.loop.create_task(self._listener.revoked([partition]))
            task.add_done_callback(lambda task: done())

        self._tell(call)

    def expel(self, partitions: list[int]) -> None:
        def call() -> None:
            self._assigned.difference_update(partitions)
            for partition in partitions:
                self._position.pop(partition, None)
            self._listener.lost(partitions)
            if not self._closed:
                self._group.join(self)

        self._tell(call)

    # -- between both --------------------------------------------------------------------------------------

    def _later(self, action: Callable[[], None]) -> None:
        world = self._world
        latency_s = world.rng.random() * self._broker.faults.latency_s
        self._busy_until = max(self._busy_until, world.now + latency_s) + 1e-7
        world.after(self._busy_until - world.now, action)

    def _tell(self, method: Callable[..., object], *arguments: Any) -> None:
        self.process.loop.call_soon(method, *arguments)

    def _fetch(self, partition: int) -> None:
        position = self._position.get(partition)
        if position is not None and partition not in self._paused and not self._closed:
            records = self._broker.partitions(self._topic)[partition][position:]
            if records:
                self._position[partition] = position + len(records)
                self._tell(self._listener.records, records)


class SimulatedReplyReader:
    """As `stockade.kafka.reply_reader.ReplyReader`."""

    def __init__(self, broker: Broker, topic: str, on_message: Callable[[bytes], None]) -> None:
        self._process = _this_process(broker.world)
        (records,) = broker.partitions(topic)

        def came(partition: int) -> None:
            self._process.loop.call_soon(on_message, records[-1].value or b"")

        broker.watch(topic, came)

    def close(self) -> None:
        """Nothing to close."""


@contextmanager
def simulated_library(broker: Broker, group: Group) -> Iterator[None]:
    """Let the strategy `kafka` and its workers use the simulated broker."""

    def producer(*_: Any, **__: Any) -> SimulatedProducer:
        return SimulatedProducer(broker)

    def nothing(*_: Any) -> None: ...

    def instance() -> Any:
        return SimpleNamespace(hex=_this_process(broker.world).name)

    worker: dict[str, Any] = {
        "create_topics": nothing,
        "Producer": producer,
        "Consumer": lambda options, listener: SimulatedConsumer(broker, group, options, listener),
    }
    strategy: dict[str, Any] = {
        "load_library": nothing,
        "create_topics": nothing,
        "create_topic": nothing,
        "delete_topic": nothing,
        "Producer": producer,
        "ReplyReader": lambda brokers, topic, on_message: SimulatedReplyReader(broker, topic, on_message),
        "uuid4": instance,
    }
    with patch.multiple("stockade.kafka.worker", **worker), patch.multiple("stockade.strategies.kafka", **strategy):
        yield
