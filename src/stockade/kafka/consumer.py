"""Reads the partitions that a consumer group assigns to this process, from positions that are kept elsewhere.

One thread makes every call to the client and runs its callbacks; the listener lives on the event loop. A newly assigned
partition stays paused until the listener has called `seek`, so a slow database never delays the group.
Neighbours: `worker` listens.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from stockade.kafka.client import (
    CALL_TIMEOUT_S,
    CLOSE_TIMEOUT_S,
    POLL_TIMEOUT_S,
    consumer_settings,
    load_library,
    make_client,
    records_of,
)
from stockade.kafka.message import Record
from stockade.kafka.options import KafkaOptions

COMMIT_INTERVAL_S = 1.0  # of the group's offsets; only its lag figures depend on them
MAX_FETCH = 1_000
MAX_HEARTBEAT_MS = 1_000

log = logging.getLogger(__name__)


class PartitionListener(Protocol):
    """Receives what the consumer reads; every method is called on the event loop."""

    def assigned(self, partition: int, first: int, end: int) -> None:
        """A partition is assigned, and paused until `Consumer.seek`; `first` and `end` are as of `OffsetRange`."""

    def seek_done(self, partition: int) -> None:
        """The records that follow begin at the offset of `Consumer.seek`."""

    def records(self, batch: Sequence[Record]) -> None:
        """Messages, per partition in order."""

    async def revoked(self, partitions: Sequence[int]) -> None:
        """The group takes these partitions back: finish their batches in flight, soon."""

    def lost(self, partitions: Sequence[int]) -> None:
        """The group has already assigned these partitions to others."""

    def failed(self, error: BaseException) -> None:
        """The consumer has ended by an error."""


class Consumer:
    """One member of the group.

    Args:
        options: brokers, topic, group and protocol.
        listener: see `PartitionListener`.
        revoke_s: how long the group waits for the listener's `revoked`, in seconds.
    """

    def __init__(self, options: KafkaOptions, listener: PartitionListener, revoke_s: float = 3.0) -> None:
        self._kafka = load_library()
        self._options, self._listener, self._revoke_s = options, listener, revoke_s
        self._loop = asyncio.get_running_loop()
        self._calls: deque[tuple[int, Callable[[], None]]] = deque()  # of the loop to the client, with their partition
        self._retried: set[int] = set()  # partitions whose last call failed and is tried again
        self._offsets: dict[int, int] = {}  # to commit
        self._stop = threading.Event()
        self._client: Any = make_client(self._kafka.Consumer, _settings(options))
        self._thread = threading.Thread(target=self._run, name="stockade-kafka-consumer", daemon=True)

    def start(self) -> None:
        """Join the group."""
        self._thread.start()

    def close(self) -> None:
        """Leave the group, so that others get the partitions at once. Blocks."""
        self._stop.set()
        self._thread.join(CLOSE_TIMEOUT_S + self._revoke_s)

    # -- called on the event loop, carried out by the thread -----------------------------------------------

    def seek(self, partition: int, offset: int) -> None:
        """Read a partition from this offset."""

        def call() -> None:
            self._client.seek(self._kafka.TopicPartition(self._options.topic, partition, offset))
            self._client.resume([self._named(partition)])
            self._notify(self._listener.seek_done, partition)

        self._calls.append((partition, call))

    def pause(self, partition: int) -> None:
        """Stop reading a partition."""
        self._calls.append((partition, lambda: self._client.pause([self._named(partition)])))

    def resume(self, partition: int) -> None:
        """Go on reading a partition."""
        self._calls.append((partition, lambda: self._client.resume([self._named(partition)])))

    def reassign(self, partition: int) -> None:
        """Call the listener's `assigned` again, if the partition is still assigned to this process."""
        self._calls.append((partition, lambda: self._assign(partition)))

    def store_offset(self, partition: int, offset: int) -> None:
        """Commit this offset to the group soon, for its lag figures."""
        self._offsets[partition] = offset

    # -- the thread ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._client.subscribe(
                [self._options.topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
            )
            committed_s = time.monotonic()
            while not self._stop.is_set():
                self._make_calls()
                self._read()
                if time.monotonic() - committed_s >= COMMIT_INTERVAL_S:
                    committed_s = time.monotonic()
                    self._commit()
            self._commit()
        except BaseException as error:  # noqa: BLE001 - handed to the listener, which ends with it
            self._notify(self._listener.failed, error)
        finally:
            self._client.close()

    def _make_calls(self) -> None:
        """Make the calls of the loop; one that the client cannot carry out yet is tried again in the next round."""
        for _ in range(len(self._calls)):
            partition, call = self._calls.popleft()
            if partition not in {each.partition for each in self._client.assignment()}:
                continue
            try:
                call()
                self._retried.discard(partition)
            except self._kafka.KafkaException as error:
                if error.args[0].fatal():
                    raise
                if partition not in self._retried:  # one line in the log, not one for each try
                    self._retried.add(partition)
                    log.warning("Kafka's client cannot yet go on with partition %d: %s", partition, error)
                self._calls.append((partition, call))

    def _read(self) -> None:
        messages = self._client.consume(1, POLL_TIMEOUT_S)
        if messages:
            messages += self._client.consume(MAX_FETCH - 1, 0)
        if batch := records_of(messages):
            self._notify(self._listener.records, batch)

    def _commit(self) -> None:
        offsets, self._offsets = self._offsets, {}
        if offsets:
            named = [self._kafka.TopicPartition(self._options.topic, *each) for each in offsets.items()]
            try:
                self._client.commit(offsets=named, asynchronous=True)
            except self._kafka.KafkaException:  # only the lag figures miss it, until the next commit
                return

    def _on_assign(self, client: Any, partitions: Sequence[Any]) -> None:
        at_start = [self._kafka.TopicPartition(p.topic, p.partition, self._kafka.OFFSET_BEGINNING) for p in partitions]
        client.incremental_assign(at_start)
        client.pause(at_start)
        for each in partitions:
            self.reassign(each.partition)

    def _assign(self, partition: int) -> None:
        first, end = self._client.get_watermark_offsets(self._named(partition), timeout=CALL_TIMEOUT_S)
        self._notify(self._listener.assigned, partition, first, end)

    def _on_revoke(self, client: Any, partitions: Sequence[Any]) -> None:
        self._wait_for(self._listener.revoked([each.partition for each in partitions]))
        self._commit()
        client.incremental_unassign(partitions)

    def _on_lost(self, client: Any, partitions: Sequence[Any]) -> None:
        self._notify(self._listener.lost, [each.partition for each in partitions])
        client.incremental_unassign(partitions)

    def _wait_for(self, coroutine: Coroutine[Any, Any, None]) -> None:
        try:
            asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(self._revoke_s)
        except TimeoutError:  # the epoch fences batches in flight, so the partition may be revoked all the same
            return

    def _notify(self, method: Callable[..., None], *arguments: Any) -> None:
        self._loop.call_soon_threadsafe(method, *arguments)

    def _named(self, partition: int) -> Any:
        return self._kafka.TopicPartition(self._options.topic, partition)


def _settings(options: KafkaOptions) -> dict[str, Any]:
    settings = {
        **consumer_settings(options.brokers, options.group),
        "group.protocol": options.protocol,
        "isolation.level": "read_committed",
        "allow.auto.create.topics": False,
    }
    if options.protocol == "classic":  # with `consumer` the brokers decide these
        settings["partition.assignment.strategy"] = "cooperative-sticky"
        settings["session.timeout.ms"] = options.session_ms
        # a rebalance is noticed with a heartbeat, and the cooperative one needs two
        settings["heartbeat.interval.ms"] = min(MAX_HEARTBEAT_MS, options.session_ms // 3)
    return settings
