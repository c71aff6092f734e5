"""`stockade worker`: decides the commands of the topic. As many workers as partitions can work at the same time.

The group assigns partitions to workers; the database holds the position from which each is read, and refuses the worker
that had the partition before (`store.consumer_offsets`). One command passes through `consumer`, this file,
`partition_processor`, the store's `transact` and `replies`.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

from stockade.core import StaleOffset, Stats, StockadeError
from stockade.kafka.admin import create_topics
from stockade.kafka.consumer import Consumer
from stockade.kafka.message import Record
from stockade.kafka.options import KafkaOptions
from stockade.kafka.partition_processor import PartitionProcessor
from stockade.kafka.producer import Producer
from stockade.kafka.worker_context import Report, WorkerContext, WorkerStats
from stockade.store import SqlStore
from stockade.store.consumer_offsets import ConsumerOffsets

MAX_QUEUED_BATCHES = 4  # a partition with so many batches in its queue is paused
REWOUND_TRIES = 5
TAKE_PAUSE_S = 1.0  # before a partition is taken again that the database or another worker refused


class LogRewound(StockadeError):
    """The topic ends before the position: it was made anew or has lost messages. A person has to decide."""

    code = "LOG_REWOUND"


class _Running(NamedTuple):
    processor: PartitionProcessor
    task: asyncio.Task[None]


class KafkaWorker:
    """Decides the commands of the partitions that the group assigns to this process.

    Args:
        store: decides.
        options: brokers, topic and group.
        max_batch: messages in one transaction.
        wait_s: the longest one attempt at a batch may take, in seconds.
        report: logs an event and its fields for operators.

    Attributes:
        stats: what its partition processors have done.
    """

    def __init__(
        self,
        store: SqlStore,
        options: KafkaOptions,
        *,
        max_batch: int = 1_024,
        wait_s: float = 5.0,
        report: Report = lambda event, **fields: None,
    ) -> None:
        self._store, self._options, self._report = store, options, report
        self._max_batch, self._wait_s = max_batch, wait_s
        self._offsets = ConsumerOffsets(store.database, options.topic, wait_s)
        self._assigned: set[int] = set()
        self._running: dict[int, _Running] = {}
        self._processing: set[asyncio.Task[None]] = set()  # also those that are ending
        self._taking: set[asyncio.Task[None]] = set()
        self._rewound: dict[int, int] = {}  # partition -> how often its end was before the position
        self._stopping = False
        self._consumer: Consumer | None = None
        self._context: WorkerContext | None = None
        self._failure: BaseException | None = None
        self._failed = asyncio.Event()
        self.stats = WorkerStats()

    @property
    def store_stats(self) -> Stats:
        """What its store has done."""
        return self._store.stats

    @property
    def partitions(self) -> tuple[int, ...]:
        """The partitions that this worker reads now."""
        return tuple(sorted(each for each, running in self._running.items() if running.processor.seek_done))

    async def run(self, stop: asyncio.Event, ready: Callable[[], None] = lambda: None) -> None:
        """Work until `stop` is set; then finish the batches in flight, reply, and leave the group.

        Args:
            stop: ends the work.
            ready: called once the brokers have answered.

        Raises:
            LogRewound: the topic ends before the position.
            Busy: the brokers cannot be reached at the start.
            NotSupported: no client library.
        """
        await asyncio.to_thread(create_topics, self._options)
        ready()
        producer = Producer(self._options.brokers)
        self._context = WorkerContext(
            self._store,
            self._offsets,
            producer,
            self._options,
            max_batch=self._max_batch,
            wait_s=self._wait_s,
            report=self._report,
            stats=self.stats,
        )
        consumer = self._consumer = Consumer(self._options, self)
        consumer.start()
        try:
            await _wait_for_any(stop, self._failed)
        finally:
            self._stopping = True
            for task in self._taking:
                task.cancel()
            await self.revoked(list(self._assigned))
            if self._processing:  # a revocation that is under way, or a loss, has closed them
                await asyncio.wait(self._processing)
            await asyncio.to_thread(consumer.close)
            await asyncio.to_thread(producer.close)
        if self._failure is not None:
            raise self._failure

    # -- called by the consumer, on the event loop ---------------------------------------------------------

    def assigned(self, partition: int, first: int, end: int) -> None:
        """See `PartitionListener.assigned`."""
        if self._stopping:
            return
        self._assigned.add(partition)
        task = asyncio.create_task(self._take(partition, first, end), name=f"stockade-take-{partition}")
        self._taking.add(task)
        task.add_done_callback(self._taking.discard)

    async def _take(self, partition: int, first: int, end: int) -> None:
        """Take a partition in the database, and process it from the position that is found there."""
        assert self._consumer is not None
        assert self._context is not None
        await self._end([partition])
        try:
            taken = await self._offsets.take(partition, first)
        except Exception as error:  # noqa: BLE001 - reported, and tried again while the partition is assigned
            self._report("partition waits", part=partition, error=repr(error))
            await self._take_again(partition)
            return
        if taken.new > end:
            await self._end_before_position(partition, end, taken.new)
            return
        self._rewound.pop(partition, None)
        if taken.new < first:
            self._report("messages gone before they were read", part=partition, position=taken.new, low=first)
        while partition in self._running:  # of another assignment, which was taken meanwhile: nobody else would end it
            await self._end([partition])
        if partition not in self._assigned:
            return
        processor = PartitionProcessor(self._context, taken, self._committed)
        task = asyncio.create_task(self._process(processor), name=f"stockade-partition-{partition}")
        self._running[partition] = _Running(processor, task)
        self._processing.add(task)
        task.add_done_callback(self._processing.discard)
        self._consumer.seek(partition, max(taken.new, first))
        self._report("partition taken", part=partition, position=taken.new, epoch=taken.epoch)

    async def _end_before_position(self, partition: int, end: int, position: int) -> None:
        """Try a few times, because a new leader may not know its own end yet; then end the worker."""
        self._rewound[partition] = self._rewound.get(partition, 0) + 1
        if self._rewound[partition] >= REWOUND_TRIES:
            text = f"{self._options.topic}/{partition} ends at {end}, before the position {position}"
            self.failed(LogRewound(f"{text}: whoever knows why sets it, `stockade positions rewind {partition} first`"))
        await self._take_again(partition)

    async def _take_again(self, partition: int) -> None:
        await asyncio.sleep(TAKE_PAUSE_S)
        if partition in self._assigned and self._consumer is not None:
            self._consumer.pause(partition)
            self._consumer.reassign(partition)

    def seek_done(self, partition: int) -> None:
        """See `PartitionListener.seek_done`."""
        if partition in self._running:
            self._running[partition].processor.seek_done = True

    def records(self, batch: Sequence[Record]) -> None:
        """See `PartitionListener.records`."""
        assert self._consumer is not None
        for record in batch:
            running = self._running.get(record.partition)
            if running is None:
                continue
            processor = running.processor
            if not processor.seek_done or record.offset < processor.next_offset:
                continue  # from before the seek
            processor.add(record)
            if processor.waiting >= MAX_QUEUED_BATCHES * self._max_batch and not processor.paused:
                processor.paused = True
                self._consumer.pause(record.partition)

    async def _process(self, processor: PartitionProcessor) -> None:
        partition = processor.partition
        try:
            await processor.run()
        except StaleOffset as stale:
            # Another worker has it, or a person set the position. If the group still assigns it to this worker, take it
            # again; the pause lets the group revoke it first where it does not.
            self._report("partition refused", part=partition, error=str(stale))
            running = self._running.get(partition)
            if running is not None and running.processor is processor:
                del self._running[partition]
                await self._take_again(partition)
        except Exception as error:  # noqa: BLE001 - a bug: the worker ends with it rather than skip a message
            self.failed(error)

    def _committed(self, partition: int, offset: int) -> None:
        assert self._consumer is not None
        self._consumer.store_offset(partition, offset)
        running = self._running.get(partition)
        if running is not None and running.processor.paused and running.processor.waiting <= self._max_batch:
            running.processor.paused = False
            self._consumer.resume(partition)

    async def revoked(self, partitions: Sequence[int]) -> None:
        """See `PartitionListener.revoked`."""
        self._assigned.difference_update(partitions)
        await self._end(partitions)

    async def _end(self, partitions: Sequence[int]) -> None:
        """Let the processors of these partitions finish their batches in flight."""
        tasks = []
        for partition in partitions:
            if partition in self._running:
                processor, task = self._running.pop(partition)
                processor.close()
                tasks.append(task)
        if tasks:
            await asyncio.wait(tasks)

    def lost(self, partitions: Sequence[int]) -> None:
        """See `PartitionListener.lost`."""
        self._assigned.difference_update(partitions)
        for partition in partitions:
            if partition in self._running:
                self._running.pop(partition).processor.close()
        self._report("partitions lost", parts=list(partitions))

    def failed(self, error: BaseException) -> None:
        """See `PartitionListener.failed`; also called by what fails here."""
        self._report("worker ends", error=repr(error))
        self._failure = self._failure or error
        self._failed.set()


async def _wait_for_any(*events: asyncio.Event) -> None:
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
