"""The in-process provider from the inside: nothing leaks, cancellation anywhere leaves no trace, leases end."""
# ruff: noqa: PT012 - a block under a lock is more than one statement

import asyncio
import random

import pytest

from stockade import locks as sync
from stockade.locks import LockLost, aio
from tests.locks.harness import work_for, work_for_ever
from tests.threads import Running


async def test_cancelled_anywhere_leaves_nothing():
    """4,000 waits cancelled at random moments, also in the moment of the hand-over: no holder, waiter or name stays."""
    rng = random.Random(7)
    async with aio.MemoryLocks() as locks:
        lock, cancelled, inside = locks.lock("a"), 0, 0

        async def visit():
            nonlocal inside
            async with lock:
                assert inside == 0
                inside += 1
                try:
                    await asyncio.sleep(0)
                finally:
                    inside -= 1

        for _ in range(400):
            tasks = [asyncio.create_task(visit()) for _ in range(10)]
            for _ in range(rng.randrange(12)):
                await asyncio.sleep(0)
            for task in tasks:
                if rng.random() < 0.7:
                    task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            cancelled += sum(isinstance(result, asyncio.CancelledError) for result in results)
            assert locks.backend.names_in_use == 0
        assert cancelled > 1000


def test_threads_leave_nothing():
    """Eight threads with short time limits: every grant is given back, no name stays."""
    with sync.MemoryLocks() as locks:
        granted = []

        def visit(seed):
            rng = random.Random(seed)
            for _ in range(200):
                lease = locks.lock(f"k{rng.randrange(3)}").acquire(timeout=rng.random() / 2000)
                if lease:
                    granted.append(lease.fencing_token)
                    lease.release()

        threads = [Running(visit, seed) for seed in range(8)]
        for thread in threads:
            thread.result()
        assert locks.backend.names_in_use == 0
        assert len(granted) == len(set(granted)) > 0


async def test_a_lease_that_runs_out_tells_its_holder():
    """Without renewal the lease ends: the body is cancelled, LockLost raised, and the next one is in."""
    async with aio.MemoryLocks() as locks:
        lock, told = locks.lock("a", lease_s=0.05, renew=False), []
        with pytest.raises(LockLost, match="ran out"):
            async with lock as lease:
                lease.on_lost(told.append)
                waiter = asyncio.create_task(lock.acquire())
                await work_for_ever()
        assert told == [lease]
        assert asyncio.current_task().cancelling() == 0
        await (await waiter).release()
        assert locks.backend.names_in_use == 0


async def test_a_lease_is_renewed():
    """With renewal the same lease outlives several of its lengths; after release the task has nothing to do."""
    async with aio.MemoryLocks() as locks:
        async with locks.lock("a", lease_s=0.06) as lease:
            first = lease.deadline
            await work_for(0.2)
            lease.check()
            assert lease.deadline > first + 0.1
        assert locks.backend.names_in_use == 0


async def test_an_abandoned_lease_is_given_back():
    """A lease that no caller can release any more is not renewed for ever (Redisson #2714, #7272)."""
    async with aio.MemoryLocks() as locks:
        lock = locks.lock("a", lease_s=0.06)

        async def forgetful():
            await lock.acquire()

        await asyncio.create_task(forgetful())
        assert await lock.acquire(timeout=3)


async def test_a_cancelled_body_of_another_reason_stays_cancelled():
    """Only the cancellation that the loss caused becomes LockLost."""
    async with aio.MemoryLocks() as locks:

        async def body():
            async with locks.lock("a"):
                await work_for_ever()

        task = asyncio.create_task(body())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def test_a_thread_learns_of_the_loss():
    """Threads cannot be cancelled: `wait_lost`, `check` and the end of the block tell."""
    with sync.MemoryLocks() as locks:
        with pytest.raises(LockLost), locks.lock("a", lease_s=0.03, renew=False) as lease:
            assert lease.wait_lost(timeout=3)
            with pytest.raises(LockLost):
                lease.check()
        assert locks.backend.names_in_use == 0


async def test_errors_of_the_body_are_not_masked():
    """When body and release both fail, the body's error is raised and the loss is added as a note."""
    async with aio.MemoryLocks() as locks:
        with pytest.raises(KeyError) as error:
            async with locks.lock("a", lease_s=0.01, renew=False, on_lost="raise"):
                await work_for(0.03)
                raise KeyError("mine")
        assert "ran out" in error.value.__notes__[0]
