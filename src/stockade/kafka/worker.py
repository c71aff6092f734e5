"""`stockade worker`: decides the commands of the log. As many as there are partitions can work at the same time.

The group says which partitions are whose; the database says from where each is read (`store.positions`), and refuses
whoever had it before. Neighbours: `strategies.kafka_group` reads, `lane` works one partition off.
"""

import asyncio
from collections.abc import Callable, Sequence

from stockade.core import StaleOffset, Stats, StockadeError
from stockade.kafka.consumer import GroupReader
from stockade.kafka.options import KafkaOptions
from stockade.kafka.partition_processor import Bench, Lane, Tally
from stockade.kafka.producer import Writer
from stockade.kafka.topics import Record, make_topics
from stockade.store import SqlStore
from stockade.store.consumer_offsets import ConsumerOffsets

DEPTH_BATCHES = 4  # a lane holds at most this many batches before its partition is paused
SHORT_TRIES = 5
TAKE_PAUSE_S = 1.0  # before a partition is taken again that the database or another worker refused


class LogRewound(StockadeError):
    """The topic ends before the position: it was made anew or has lost messages. A person has to decide."""

    code = "LOG_REWOUND"


class Worker:
    """One worker process's share of the log.

    Args:
        store: decides.
        log: brokers, topic and group.
        max_batch: messages in one transaction.
        wait_s: the longest one attempt at a batch may take, in seconds.
        report: told of what an operator should know: an event and its fields.
    """

    def __init__(
        self,
        store: SqlStore,
        log: KafkaOptions,
        *,
        max_batch: int = 1_024,
        wait_s: float = 5.0,
        report: Callable[..., None] = lambda event, **fields: None,
    ) -> None:
        self._store, self._log, self._report = store, log, report
        self._max_batch, self._wait_s = max_batch, wait_s
        self._positions = ConsumerOffsets(store.database, log.topic, wait_s)
        self._lanes: dict[int, Lane] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._ours: set[int] = set()
        self._taking: set[asyncio.Task[None]] = set()
        self._short: dict[int, int] = {}  # part -> how often its log ended before the position
        self._stopping = False
        self._reader: GroupReader | None = None
        self._bench: Bench | None = None
        self._failure: BaseException | None = None
        self._ended = asyncio.Event()
        self.tally = Tally()

    @property
    def stats(self) -> Stats:
        """What its store has done."""
        return self._store.stats

    @property
    def parts(self) -> tuple[int, ...]:
        """The partitions this worker reads now."""
        return tuple(sorted(part for part, lane in self._lanes.items() if lane.open))

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; then finish the batches under way, reply, and leave the group.

        Raises:
            LogRewound: the topic ends before the position.
            Busy: the brokers cannot be reached at the start.
            NotSupported: no client library.
        """
        await asyncio.to_thread(make_topics, self._log)
        writer = Writer(self._log.brokers)
        self._bench = Bench(
            self._store,
            self._positions,
            writer,
            self._log,
            max_batch=self._max_batch,
            wait_s=self._wait_s,
            report=self._report,
            tally=self.tally,
        )
        reader = self._reader = GroupReader(self._log, self)
        reader.open()
        try:
            await _first(stop, self._ended)
        finally:
            self._stopping = True
            for task in self._taking:
                task.cancel()
            await self.yielded(list(self._ours))
            await asyncio.to_thread(reader.close)
            await asyncio.to_thread(writer.close)
        if self._failure is not None:
            raise self._failure

    # -- heard from the reader -----------------------------------------------------------------------------

    def gained(self, part: int, low: int, high: int) -> None:
        """See `Listener.gained`."""
        if self._stopping:
            return
        self._ours.add(part)
        task = asyncio.create_task(self._take(part, low, high), name=f"stockade-take-{part}")
        self._taking.add(task)
        task.add_done_callback(self._taking.discard)

    def started(self, part: int) -> None:
        """See `Listener.started`."""
        if part in self._lanes:
            self._lanes[part].open = True

    def records(self, batch: Sequence[Record]) -> None:
        """See `Listener.records`."""
        assert self._reader is not None
        for record in batch:
            lane = self._lanes.get(record.part)
            if lane is None or not lane.open or record.offset < lane.next:
                continue  # from before the partition was given away, or from before our start
            lane.put(record)
            if lane.depth >= DEPTH_BATCHES * self._max_batch and not lane.paused:
                lane.paused = True
                self._reader.pause(record.part)

    async def yielded(self, parts: Sequence[int]) -> None:
        """See `Listener.yielded`."""
        self._ours.difference_update(parts)
        for part in parts:
            if part in self._lanes:
                self._lanes.pop(part).close()
        tasks = [self._tasks.pop(part) for part in parts if part in self._tasks]
        if tasks:
            await asyncio.wait(tasks)

    def lost(self, parts: Sequence[int]) -> None:
        """See `Listener.lost`."""
        self._ours.difference_update(parts)
        for part in parts:
            if part in self._lanes:
                self._lanes.pop(part).close()
            self._tasks.pop(part, None)
        self._report("partitions lost", parts=list(parts))

    def failed(self, error: BaseException) -> None:
        """See `Listener.failed`."""
        self._fail(error)

    # -- partitions ----------------------------------------------------------------------------------------

    async def _take(self, part: int, low: int, high: int) -> None:
        """Become the reader of a partition, and start where the last one stopped."""
        assert self._reader is not None
        assert self._bench is not None
        await self._end_lane(part)
        try:
            taken = await self._positions.take(part, low)
        except Exception as error:  # noqa: BLE001 - told, and tried again while the partition is ours
            self._report("partition waits", part=part, error=repr(error))
            await self._again(part)
            return
        if taken.new > high:  # a leader that is new may not know its own end yet: ask a few times
            self._short[part] = self._short.get(part, 0) + 1
            if self._short[part] >= SHORT_TRIES:
                text = f"{self._log.topic}/{part} ends at {high}, before the position {taken.new}"
                self._fail(LogRewound(f"{text}: whoever knows why sets it, `stockade positions rewind {part} first`"))
            await self._again(part)
            return
        self._short.pop(part, None)
        if taken.new < low:
            self._report("messages gone before they were read", part=part, position=taken.new, low=low)
        if part not in self._ours:
            return
        lane = self._lanes[part] = Lane(self._bench, taken, self._consumed)
        self._tasks[part] = asyncio.create_task(self._work(lane), name=f"stockade-lane-{part}")
        self._reader.start(part, max(taken.new, low))
        self._report("partition taken", part=part, position=taken.new, epoch=taken.epoch)

    async def _end_lane(self, part: int) -> None:
        """End the lane of a partition that is to be taken anew."""
        lane, task = self._lanes.pop(part, None), self._tasks.pop(part, None)
        if lane is not None and task is not None:
            lane.close()
            await asyncio.wait([task])

    async def _work(self, lane: Lane) -> None:
        try:
            await lane.run()
        except StaleOffset as stale:
            # Another worker has it, or a person set the position. If the group still says that it is ours, take it
            # again; the pause lets the group tell us first when it is not.
            self._report("partition refused", part=lane.part, error=str(stale))
            if self._lanes.get(lane.part) is lane:
                del self._lanes[lane.part]
                del self._tasks[lane.part]
                await self._again(lane.part)
        except Exception as error:  # noqa: BLE001 - a fault of ours: the worker ends with it rather than skip a message
            self._fail(error)

    async def _again(self, part: int) -> None:
        await asyncio.sleep(TAKE_PAUSE_S)
        if part in self._ours and self._reader is not None:
            self._reader.pause(part)
            self._reader.ask_again(part)

    def _consumed(self, part: int, offset: int) -> None:
        assert self._reader is not None
        self._reader.consumed(part, offset)
        lane = self._lanes.get(part)
        if lane is not None and lane.paused and lane.depth <= self._max_batch:
            lane.paused = False
            self._reader.resume(part)

    def _fail(self, error: BaseException) -> None:
        self._report("worker ends", error=repr(error))
        self._failure = self._failure or error
        self._ended.set()


async def _first(*events: asyncio.Event) -> None:
    """Wait until one of the events is set."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
