"""Events into a Kafka topic, in the binary form of CloudEvents 1.0 (attributes as headers, the body as it is).

Kafka confirms an event when all in-sync replicas have it. The producer never drops a message by itself, so the messages
that arrived in a partition are always a prefix of those that were sent. After a timeout or a failure the sink discards
the producer and the relay sends again; the first deliveries of each key stay in order. Neighbours: `relay` calls.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import NoReturn

from stockade.core import Busy
from stockade.core.timestamps import rfc3339
from stockade.kafka.admin import create_topic
from stockade.kafka.producer import MessageRefused, Producer
from stockade.kafka.security import Brokers
from stockade.service.relay.sinks import CONFIRMED, HELD, Receipt, SinkDown
from stockade.store.outbox import OutboxEvent

EVENTS = {"cleanup.policy": "delete", "retention.ms": str(7 * 24 * 3_600_000)}


class KafkaSink:
    """One topic.

    Args:
        brokers: see `Brokers`.
        topic: created at the first use if it does not exist.
        source: the sender, in every event (`ce_source`).
        partitions: of a topic that the sink creates.
        replication: of a topic that the sink creates; -1: as the brokers are configured.
        wait_s: the longest that one batch may take, in seconds; less than the lease of a partition of the outbox.
    """

    def __init__(
        self,
        brokers: Brokers,
        topic: str = "stockade.events",
        *,
        source: str = "/stockade",
        partitions: int = 3,
        replication: int = -1,
        wait_s: float = 5.0,
    ) -> None:
        self._brokers, self._topic, self._source = brokers, topic, source.encode()
        self._partitions, self._replication = partitions, replication
        self._wait_s = wait_s
        self._producer: Producer | None = None

    async def publish(self, events: Sequence[OutboxEvent]) -> Sequence[Receipt]:
        """See `Sink.publish`."""
        producer = await self._open()
        batch = _Batch(len(events))
        held: set[str] = set()
        for n, event in enumerate(events):
            if event.key in held:
                batch.settle(n, HELD)
                continue
            try:
                producer.send(
                    self._topic,
                    event.body,
                    key=event.key.encode(),
                    headers=self._headers(event),
                    on_delivery=_Report(batch, n),
                )
            except MessageRefused as error:
                held.add(event.key)
                batch.settle(n, Receipt(False, str(error)))
            except Busy as error:
                if error.code != "TOO_MANY_REQUESTS":
                    await self._give_up(str(error), error)
                # the queue of the client is full: the next round sends the rest
                held.update(each.key for each in events[n:])
                batch.settle(n, HELD)
        try:
            async with asyncio.timeout(self._wait_s):
                return await batch.done
        except TimeoutError as error:
            await self._give_up(f"Kafka did not confirm within {self._wait_s} s", error)
        except _NotDelivered as error:
            await self._give_up(str(error), error)

    async def _give_up(self, why: str, cause: Exception) -> NoReturn:
        """Discard the producer: one that has met a fatal error sends nothing any more. The next batch has a new one."""
        await self.close()
        raise SinkDown(why) from cause

    def _headers(self, event: OutboxEvent) -> Mapping[str, bytes]:
        return {
            "ce_specversion": b"1.0",
            "ce_id": event.event_id.encode(),
            "ce_type": event.kind.encode(),
            "ce_source": self._source,
            "ce_time": rfc3339(event.created_ms).encode(),
            "content-type": b"application/json",
        }

    async def _open(self) -> Producer:
        if self._producer is None:
            try:
                new = (self._topic, self._partitions, self._replication, EVENTS)
                await asyncio.to_thread(create_topic, self._brokers, *new)
            except Busy as error:
                raise SinkDown(str(error)) from error
            self._producer = Producer(self._brokers, delivery_timeout_s=None)
        return self._producer

    async def close(self) -> None:
        """Discard the messages that are not confirmed; they are still in the outbox."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await asyncio.to_thread(producer.close, 0)


class _NotDelivered(Exception):
    """Kafka did not store an event, for a reason that is not the event's own."""


class _Batch:
    """Collects the receipts of one `publish`; the last one ends its wait."""

    def __init__(self, size: int) -> None:
        self._loop = asyncio.get_running_loop()
        self.done: asyncio.Future[Sequence[Receipt]] = self._loop.create_future()
        self._receipts: list[Receipt | Exception | None] = [None] * size
        self._left = size

    def settle(self, n: int, receipt: Receipt | Exception) -> None:
        self._loop.call_soon_threadsafe(self._settle, n, receipt)

    def _settle(self, n: int, receipt: Receipt | Exception) -> None:
        self._receipts[n] = receipt
        self._left -= 1
        if self._left or self.done.done():
            return
        failure = next((each for each in self._receipts if isinstance(each, Exception)), None)
        if failure is not None:
            self.done.set_exception(_NotDelivered(str(failure)))
        else:
            self.done.set_result([each for each in self._receipts if isinstance(each, Receipt)])


class _Report:
    """Receives the delivery report of one event, in a thread of the client."""

    def __init__(self, batch: _Batch, n: int) -> None:
        self._batch, self._n = batch, n

    def __call__(self, error: Exception | None) -> None:
        refused = isinstance(error, MessageRefused)
        answer = CONFIRMED if error is None else Receipt(False, str(error)) if refused else error
        self._batch.settle(self._n, answer)
