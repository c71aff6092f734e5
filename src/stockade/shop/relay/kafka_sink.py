"""Events into a Kafka topic, in the binary form of CloudEvents 1.0 (attributes as headers, the body as it is).

Kafka confirms an event when all in-sync replicas have it. The producer never drops a message by itself, so the messages
that arrived in a partition are always a prefix of those that were sent. A relay that has waited `wait_s` discards the
producer and sends again; the first deliveries of each key stay in order.
Neighbours: `relay` calls; `stockade.kafka.producer` sends.
"""

import asyncio
from collections.abc import Mapping, Sequence

from stockade.core import Busy
from stockade.kafka.producer import NotSent, Refusal, Writer
from stockade.kafka.security import Brokers
from stockade.kafka.topics import Topics
from stockade.shop.model.timestamps import rfc3339
from stockade.shop.relay.sinks import CONFIRMED, HELD, Receipt, SinkDown
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
        self._writer: Writer | None = None

    async def publish(self, events: Sequence[OutboxEvent]) -> Sequence[Receipt]:
        """See `Sink.publish`."""
        writer = await self._open()
        batch = _Batch(len(events))
        held: set[str] = set()
        for n, event in enumerate(events):
            if event.key in held:
                batch.settle(n, HELD)
                continue
            try:
                report, headers = _Report(batch, n), self._headers(event)
                writer.send(self._topic, event.body, key=event.key.encode(), headers=headers, done=report)
            except NotSent as error:
                held.add(event.key)
                batch.settle(n, Receipt(False, str(error)))
            except Busy:  # the queue of the client is full: the next round sends the rest
                held.update(each.key for each in events[n:])
                batch.settle(n, HELD)
        try:
            async with asyncio.timeout(self._wait_s):
                return await batch.done
        except TimeoutError as error:
            await self.close()
            raise SinkDown(f"Kafka did not confirm within {self._wait_s} s") from error

    def _headers(self, event: OutboxEvent) -> Mapping[str, bytes]:
        return {
            "ce_specversion": b"1.0",
            "ce_id": event.event_id.encode(),
            "ce_type": event.kind.encode(),
            "ce_source": self._source,
            "ce_time": rfc3339(event.created_ms).encode(),
            "content-type": b"application/json",
        }

    async def _open(self) -> Writer:
        if self._writer is None:
            try:
                topics = Topics(self._brokers)
                await asyncio.to_thread(topics.ensure, self._topic, self._partitions, self._replication, EVENTS)
            except Busy as error:
                raise SinkDown(str(error)) from error
            self._writer = Writer(self._brokers, give_up_s=None)
        return self._writer

    async def close(self) -> None:
        """Discard the messages that are not confirmed; they are still in the outbox."""
        writer, self._writer = self._writer, None
        if writer is not None:
            await asyncio.to_thread(writer.close, 0)


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
            self.done.set_exception(SinkDown(str(failure)))
        else:
            self.done.set_result([each for each in self._receipts if isinstance(each, Receipt)])


class _Report:
    """The delivery report of one event; the client calls it in a thread of its own."""

    def __init__(self, batch: _Batch, n: int) -> None:
        self._batch, self._n = batch, n

    def __call__(self, error: Exception | None) -> None:
        refused = isinstance(error, Refusal)
        answer = CONFIRMED if error is None else Receipt(False, str(error)) if refused else error
        self._batch.settle(self._n, answer)
