"""Reads the partitions that a consumer group gives this process, from positions that are kept elsewhere.

The client's callbacks and every call to it happen on one thread; the listener lives on the event loop. A partition that
is given to this process stays silent until the listener has said where to start, so a slow database never holds up the
group. Neighbours: `shop.worker` listens; `kafka_writer` writes, `kafka_log` reads replies.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from stockade.kafka.client import CALL_S, client, common, make
from stockade.kafka.options import KafkaOptions
from stockade.kafka.topics import END_S, POLL_S, Record

COMMIT_S = 1.0  # how often the group is told how far we are; only its lag figures depend on it
MAX_FETCH = 1_000
MAX_HEARTBEAT_MS = 1_000

log = logging.getLogger(__name__)


class Listener(Protocol):
    """Who deals with what is read; every method is called on the event loop."""

    def gained(self, part: int, low: int, high: int) -> None:
        """A partition is ours, and silent until `start`. `low` and `high` are its first and its next offset."""

    def started(self, part: int) -> None:
        """Records that follow are from the offset that `start` named."""

    def records(self, batch: Sequence[Record]) -> None:
        """Messages, per partition in order."""

    async def yielded(self, parts: Sequence[int]) -> None:
        """Partitions are to be given away: finish what is under way, soon."""

    def lost(self, parts: Sequence[int]) -> None:
        """Partitions were given away already: whatever is under way is somebody else's."""

    def failed(self, error: BaseException) -> None:
        """The reader has ended by an error."""


class GroupReader:
    """One member of the group.

    Args:
        log: brokers, topic, group and protocol.
        listener: see `Listener`.
        yield_s: how long giving a partition away waits for the listener, in seconds.
    """

    def __init__(self, log: KafkaOptions, listener: Listener, yield_s: float = 3.0) -> None:
        self._kafka = client()
        self._log, self._listener, self._yield_s = log, listener, yield_s
        self._loop = asyncio.get_running_loop()
        self._orders: deque[tuple[int, Callable[[], None]]] = deque()  # what the loop asks of the thread, by partition
        self._held_up: set[int] = set()  # partitions of which an order has failed, and is tried again
        self._positions: dict[int, int] = {}
        self._stop = threading.Event()
        self._consumer: Any = make(self._kafka.Consumer, _settings(log))
        self._thread = threading.Thread(target=self._run, name="stockade-kafka-group", daemon=True)

    def open(self) -> None:
        """Join the group."""
        self._thread.start()

    def close(self) -> None:
        """Leave the group, so that others take over at once. Blocks."""
        self._stop.set()
        self._thread.join(END_S + self._yield_s)

    # -- asked by the listener, done by the thread ---------------------------------------------------------

    def start(self, part: int, offset: int) -> None:
        """Read a partition from here."""

        def order() -> None:
            self._consumer.seek(self._kafka.TopicPartition(self._log.topic, part, offset))
            self._consumer.resume(self._named([part]))
            self._tell(self._listener.started, part)

        self._orders.append((part, order))

    def pause(self, part: int) -> None:
        """Read no further for now."""
        self._orders.append((part, lambda: self._consumer.pause(self._named([part]))))

    def resume(self, part: int) -> None:
        """Read on."""
        self._orders.append((part, lambda: self._consumer.resume(self._named([part]))))

    def ask_again(self, part: int) -> None:
        """Tell the listener of a partition, if it is still ours."""
        self._orders.append((part, lambda: self._gain(part)))

    def consumed(self, part: int, offset: int) -> None:
        """Remember how far we are, for the group's lag figures."""
        self._positions[part] = offset

    # -- the thread ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._consumer.subscribe(
                [self._log.topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
            )
            told_s = time.monotonic()
            while not self._stop.is_set():
                self._obey()
                self._read()
                if time.monotonic() - told_s >= COMMIT_S:
                    told_s = time.monotonic()
                    self._commit()
            self._commit()
        except BaseException as error:  # noqa: BLE001 - handed to the listener, which ends with it
            self._tell(self._listener.failed, error)
        finally:
            self._consumer.close()

    def _read(self) -> None:
        """Take what has come."""
        consumer = self._consumer
        messages = consumer.consume(1, POLL_S)
        if messages:
            messages += consumer.consume(MAX_FETCH - 1, 0)
        batch: list[Record] = []
        for message in messages:
            error = message.error()
            if error is None:
                headers = dict(message.headers() or ())
                batch.append(Record(message.partition(), message.offset(), message.key(), message.value(), headers))
            elif error.fatal():
                raise self._kafka.KafkaException(error)
        if batch:
            self._tell(self._listener.records, batch)

    def _obey(self) -> None:
        """Carry out what was asked; what the client cannot do yet is tried again while the partition is ours."""
        for _ in range(len(self._orders)):
            part, order = self._orders.popleft()
            if part not in {each.partition for each in self._consumer.assignment()}:
                continue
            try:
                order()
                self._held_up.discard(part)
            except self._kafka.KafkaException as error:
                if error.args[0].fatal():
                    raise
                if part not in self._held_up:  # once, not for each try
                    self._held_up.add(part)
                    log.warning("Kafka's client cannot yet go on with partition %d: %s", part, error)
                self._orders.append((part, order))

    def _commit(self) -> None:
        positions, self._positions = self._positions, {}
        if positions:
            offsets = [self._kafka.TopicPartition(self._log.topic, part, at) for part, at in positions.items()]
            try:
                self._consumer.commit(offsets=offsets, asynchronous=True)
            except self._kafka.KafkaException:  # a figure for dashboards: the next one will do
                return

    def _assigned(self, consumer: Any, partitions: Sequence[Any]) -> None:
        at_start = [self._kafka.TopicPartition(p.topic, p.partition, self._kafka.OFFSET_BEGINNING) for p in partitions]
        consumer.incremental_assign(at_start)
        consumer.pause(at_start)
        for each in partitions:
            self.ask_again(each.partition)

    def _gain(self, part: int) -> None:
        where = self._kafka.TopicPartition(self._log.topic, part)
        low, high = self._consumer.get_watermark_offsets(where, timeout=CALL_S)
        self._tell(self._listener.gained, part, low, high)

    def _revoked(self, consumer: Any, partitions: Sequence[Any]) -> None:
        parts = [p.partition for p in partitions]
        self._wait(self._listener.yielded(parts))
        self._commit()
        consumer.incremental_unassign(partitions)

    def _lost(self, consumer: Any, partitions: Sequence[Any]) -> None:
        self._tell(self._listener.lost, [p.partition for p in partitions])
        consumer.incremental_unassign(partitions)

    def _wait(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Let the loop do it; not for longer than the group waits for us."""
        try:
            asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(self._yield_s)
        except TimeoutError:  # what is under way is fenced by its epoch, so giving the partition away is safe
            return

    def _tell(self, method: Callable[..., None], *arguments: Any) -> None:
        self._loop.call_soon_threadsafe(method, *arguments)

    def _named(self, parts: Sequence[int]) -> list[Any]:
        return [self._kafka.TopicPartition(self._log.topic, part) for part in parts]


def _settings(log: KafkaOptions) -> dict[str, Any]:
    settings = {
        **common(log.brokers),
        "group.id": log.group,
        "group.protocol": log.protocol,
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "fetch.wait.max.ms": 100,  # a message ends the wait; a short one only costs requests
        "fetch.min.bytes": 1,
        "isolation.level": "read_committed",
        "allow.auto.create.topics": False,
    }
    if log.protocol == "classic":  # with `consumer` the brokers decide both
        settings["partition.assignment.strategy"] = "cooperative-sticky"
        settings["session.timeout.ms"] = log.session_ms
        # a rebalance is noticed with a heartbeat, and the cooperative one needs two
        settings["heartbeat.interval.ms"] = min(MAX_HEARTBEAT_MS, log.session_ms // 3)
    return settings
