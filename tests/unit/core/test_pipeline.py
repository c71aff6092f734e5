"""Batches in order, the next one begun when the one before is decided."""

import asyncio
from collections import deque

import pytest

from stockade.core.pipeline import Pipeline


class Batches:
    """A queue of batches that decide, end and fail when the test lets them."""

    def __init__(self, pipeline, *names):
        self.queue = deque(names)
        self.handovers, self.ends, self.begun = {}, {}, []
        self.task = asyncio.create_task(pipeline.run(self._take))

    def _take(self):
        if not self.queue:
            return None
        name = self.queue.popleft()

        async def batch(handover):
            self.begun.append(name)
            self.handovers[name] = handover
            self.ends[name] = asyncio.get_running_loop().create_future()
            await self.ends[name]

        return batch


async def settle():
    """Let every task go on until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_the_next_batch_begins_when_the_one_before_is_decided_and_there_is_room():
    """Two in flight at most, and never a second one behind one that is not decided."""
    pipeline = Pipeline(2, "batch")
    batches = Batches(pipeline, "a", "b", "c")
    await settle()
    assert batches.begun == ["a"]
    batches.handovers["a"].decided()
    await settle()
    assert batches.begun == ["a", "b"]
    batches.handovers["b"].decided()
    await settle()
    assert (batches.begun, pipeline.in_flight) == (["a", "b"], 2)
    batches.ends["a"].set_result(None)
    await settle()
    assert batches.begun == ["a", "b", "c"]
    assert [batches.handovers[name].follows for name in "abc"] == [False, True, True]
    pipeline.close()
    for name in "bc":
        batches.ends[name].set_result(None)
    await asyncio.wait_for(batches.task, 5)


async def test_a_batch_that_ends_undecided_lets_the_next_one_begin():
    """One at a time: nothing is decided ahead."""
    pipeline = Pipeline(1, "batch")
    batches = Batches(pipeline, "a", "b")
    await settle()
    batches.handovers["a"].decided()
    await settle()
    assert batches.begun == ["a"]
    batches.ends["a"].set_result(None)
    await settle()
    assert batches.begun == ["a", "b"]
    batches.ends["b"].set_result(None)
    pipeline.close()
    await asyncio.wait_for(batches.task, 5)


async def test_what_is_added_later_begins_after_a_wake():
    """A run with an empty queue waits, and ends only after `close`."""
    pipeline = Pipeline(2, "batch")
    batches = Batches(pipeline)
    await settle()
    batches.queue.append("a")
    pipeline.wake()
    await settle()
    assert batches.begun == ["a"]
    pipeline.close()
    await settle()
    assert not batches.task.done()
    batches.ends["a"].set_result(None)
    await asyncio.wait_for(batches.task, 5)


async def test_the_error_of_the_earlier_batch_is_raised_after_both_have_ended():
    """The later batch learns that the one before has failed."""
    pipeline = Pipeline(2, "batch")
    batches = Batches(pipeline, "a", "b", "c")
    await settle()
    batches.handovers["a"].decided()
    await settle()
    batches.ends["a"].set_exception(ValueError("a"))
    assert not await batches.handovers["b"].predecessor_succeeded()
    await settle()
    assert not batches.task.done()
    batches.ends["b"].set_exception(ValueError("b"))
    with pytest.raises(ValueError, match="a"):
        await asyncio.wait_for(batches.task, 5)
    assert batches.begun == ["a", "b"]


async def test_a_cancelled_run_lets_its_batches_end():
    """What has begun is not undone."""
    pipeline = Pipeline(2, "batch")
    batches = Batches(pipeline, "a", "b")
    await settle()
    batches.task.cancel()
    await settle()
    assert not batches.task.done()
    batches.ends["a"].set_result(None)
    with pytest.raises(asyncio.CancelledError):
        await batches.task
    assert batches.begun == ["a"]


async def test_cancelling_every_task_ends_the_run():
    """As at the end of `asyncio.run`: the task that waits for a batch does not keep the turn from the other one."""
    pipeline = Pipeline(2, "batch")
    before = asyncio.all_tasks()
    batches = Batches(pipeline, "a")
    await settle()
    batches.handovers["a"].decided()
    await settle()
    for task in asyncio.all_tasks() - before:
        task.cancel()
    done, _ = await asyncio.wait([batches.task], timeout=5)
    assert done
