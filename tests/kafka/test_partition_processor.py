"""How a partition processor splits its queue into batches. The store only remembers: servers would add nothing."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from stockade.core import Accepted, OffsetCommit
from stockade.kafka.message import Record
from stockade.kafka.options import KafkaOptions
from stockade.kafka.partition_processor import WORTH_SHARING, WORTH_TWO, PartitionProcessor
from stockade.kafka.worker_context import WorkerContext, WorkerStats
from stockade.shop.commands import ChargePoints
from stockade.shop.model.command_codec import COMMAND_CODEC, encode_command
from tests.waiting import eventually_async

MESSAGE = encode_command(ChargePoints("0" * 32, "0" * 32, 0, "u", 1))


class Remembers:
    """A store that decides at once and writes when the test lets it."""

    def __init__(self, supports_pipelining=True):
        self.supports_pipelining = supports_pipelining
        self.sizes = []
        self.written = 0
        self.writes = asyncio.Semaphore(0)

    async def transact(self, commands, _guard, *, deadline, offsets, on_decided):
        """Note the size, say that it is decided, wait for a write."""
        assert deadline > 0
        (move,) = offsets
        assert move.new - move.old == len(commands)
        self.sizes.append(len(commands))
        on_decided()
        await self.writes.acquire()
        self.written += 1
        return [Accepted({}) for _ in commands]


@asynccontextmanager
async def working(store, waiting):
    """A partition processor that works, and before which so many messages wait; what it is given by `put(count)`."""
    consumed = []
    context = WorkerContext(
        store, None, None, KafkaOptions(COMMAND_CODEC), 1_024, 5.0, lambda event, **fields: None, WorkerStats()
    )
    processor = PartitionProcessor(context, OffsetCommit("t", 0, 0, 0, 1), lambda part, offset: consumed.append(offset))
    put = _puts(processor)
    put(waiting)
    task = asyncio.create_task(processor.run())
    yield put
    processor.close()
    for _ in store.sizes:
        store.writes.release()  # more than are wanted: those already written took theirs
    await task
    assert consumed == sorted(consumed)
    assert consumed[-1] == sum(store.sizes)


def _puts(processor):
    offsets = iter(range(1_000_000))

    def put(count):
        for _ in range(count):
            processor.add(Record(0, next(offsets), None, MESSAGE, {}))

    return put


async def has_begun(store, *sizes):
    """Wait until these batches were begun; no others were."""

    async def enough():
        return len(store.sizes) >= len(sizes)

    await eventually_async(enough)
    for _ in range(20):
        await asyncio.sleep(0)
    assert store.sizes == list(sizes)


async def all_written(store):
    """Let every batch that was begun end."""
    for _ in range(len(store.sizes) - store.written):
        store.writes.release()

    async def ended():
        return store.written == len(store.sizes)

    await eventually_async(ended)
    for _ in range(20):
        await asyncio.sleep(0)


async def test_many_that_wait_are_two_batches():
    """Two halves are in flight, so that one is decided while the other is written."""
    store = Remembers()
    async with working(store, 2 * WORTH_SHARING + 1):
        await has_begun(store, WORTH_SHARING + 1, WORTH_SHARING)


async def test_behind_a_batch_in_flight_all_that_wait_are_one():
    """There are two batches already: none is halved again."""
    store = Remembers()
    async with working(store, WORTH_SHARING) as put:
        await has_begun(store, WORTH_SHARING // 2, WORTH_SHARING // 2)
        put(2 * WORTH_SHARING)
        store.writes.release()
        await has_begun(store, WORTH_SHARING // 2, WORTH_SHARING // 2, 2 * WORTH_SHARING)


async def test_after_batches_that_overlapped_nothing_is_shared():
    """Two groups of callers overlap by themselves: each stays one batch, also when it finds none in flight."""
    half, store = WORTH_SHARING // 2, Remembers()
    async with working(store, WORTH_SHARING) as put:
        await has_begun(store, half, half)
        await all_written(store)
        put(WORTH_SHARING)
        await has_begun(store, half, half, WORTH_SHARING)


async def test_control_after_a_batch_that_was_alone_many_are_shared():
    """The same once more, behind a batch that overlapped with none: worker and database take turns."""
    half, store = WORTH_SHARING // 2, Remembers()
    async with working(store, WORTH_SHARING) as put:
        await has_begun(store, half, half)
        await all_written(store)
        put(WORTH_SHARING)
        await has_begun(store, half, half, WORTH_SHARING)
        await all_written(store)
        put(WORTH_SHARING)
        await has_begun(store, half, half, WORTH_SHARING, half, half)


async def test_control_fewer_are_one_batch():
    """One below the bound: all of them."""
    store = Remembers()
    async with working(store, WORTH_SHARING - 1):
        await has_begun(store, WORTH_SHARING - 1)


async def test_where_one_batch_at_a_time_is_best_nothing_is_shared():
    """SQLite has one writer: halves would only wait for each other."""
    store = Remembers(supports_pipelining=False)
    async with working(store, 2 * WORTH_SHARING):
        await has_begun(store, 2 * WORTH_SHARING)


@pytest.mark.parametrize(("more", "batches"), [(WORTH_TWO - 1, 1), (WORTH_TWO, 2)])
async def test_a_second_batch_needs_some_company(more, batches):
    """Few that come behind a batch in flight wait for it to end."""
    store = Remembers()
    async with working(store, 10) as put:
        await has_begun(store, 10)
        put(more)
        await has_begun(store, *[10, more][:batches])
