"""What a mutex of every provider must do. Modelled on the abstract test cases of DistributedLock."""

import asyncio
import threading
from functools import partial
from typing import Any
from unittest import SkipTest

from stockade.core import LockInTransaction, in_transaction
from stockade.locks.errors import LockNotOwned, LockReentry, LockTimeout
from stockade.locks.testing.contract.world import ContractBase, World, contract_test, queued, raises, waiting


class MutexContract(ContractBase):
    """What a mutex of every provider must do. Modelled on the abstract test cases of DistributedLock."""

    @contract_test
    async def test_excludes_and_hands_on(self, world: World) -> None:
        """A second owner waits until the first releases, and then has it."""
        locks, alice, bob = world.provider(), world.actor(), world.actor()
        lock = locks.lock("a")
        first = await alice(lock.acquire)
        assert first
        second = bob(lock.acquire)
        assert await waiting(second)
        await alice(first.release)
        lease = await second
        assert lease.fencing_token > first.fencing_token
        assert not first.alive
        assert lease.alive
        await bob(lease.release)

    @contract_test
    async def test_lost_update_needs_the_lock(self, world: World) -> None:
        """Ten actors count without losing a step; the same without the lock loses some (the negative control)."""
        locks = world.provider()
        counter = {"with": 0, "without": 0}
        actors = [world.actor() for _ in range(5)]

        async def count_aio(key: str, lock: Any) -> None:
            if lock is None:
                value = counter[key]
                await asyncio.sleep(0)
                counter[key] = value + 1
                return
            async with lock:
                await count_aio(key, None)

        def count_sync(key: str, lock: Any) -> None:
            if lock is None:
                value = counter[key]
                _let_others_run()
                counter[key] = value + 1
                return
            with lock:
                count_sync(key, None)

        count = count_aio if world.is_async else count_sync
        for key, lock in (("with", locks.lock("count")), ("without", None)):
            await asyncio.gather(*[actor(count, key, lock) for actor in actors for _ in range(6)])
        assert counter["with"] == 30
        assert counter["without"] < 30

    @contract_test
    async def test_first_come_first_served(self, world: World) -> None:
        """Waiters get the lock in the order of their requests."""
        if not self.fair:
            raise SkipTest("this provider promises no order")
        locks, alice = world.provider(), world.actor()
        lock = locks.lock("a")
        held = await alice(lock.acquire)
        calls: list[tuple[Any, Any]] = []
        order: list[int] = []
        for number in range(4):
            actor = world.actor()
            call = actor(lock.acquire)
            call.add_done_callback(partial(_note, order, number))
            calls.append((actor, call))
            await queued(world, lock, len(calls))
        await alice(held.release)
        for actor, call in calls:
            lease = await call
            await actor(lease.release)
        assert order == [0, 1, 2, 3]

    @contract_test
    async def test_try_and_timeout(self, world: World) -> None:
        """A try answers at once, a bounded wait ends in time; both leave no waiter behind."""
        locks, alice, bob = world.provider(), world.actor(), world.actor()
        lock = locks.lock("a")
        held = await alice(lock.acquire)
        assert await bob(lock.acquire, False) is None
        assert await bob(lock.try_acquire) is None
        assert await bob(lock.acquire, timeout=0.05) is None
        info = await bob(lock.inspect)
        assert info.locked
        assert info.waiters == ()
        await alice(held.release)
        again = await bob(lock.acquire, timeout=0)
        assert again
        await bob(again.release)
        assert not await bob(lock.locked)

    @contract_test
    async def test_hold_raises_lock_timeout(self, world: World) -> None:
        """Where a lease is needed and does not come, LockTimeout says which lock."""
        locks, alice, bob = world.provider(), world.actor(), world.actor()
        lock = locks.lock("a")
        held = await alice(lock.acquire)

        async def enter_aio() -> None:
            async with lock.hold(timeout=0.02):
                raise AssertionError("entered")

        def enter_sync() -> None:
            with lock.hold(timeout=0.02):
                raise AssertionError("entered")

        with raises(LockTimeout) as caught:
            await bob(enter_aio if world.is_async else enter_sync)
        assert caught[0].lock_name == "a"
        await alice(held.release)

    @contract_test
    async def test_only_the_owner_releases(self, world: World) -> None:
        """Only the owner may release; a second release does nothing."""
        locks, alice, bob = world.provider(), world.actor(), world.actor()
        lock = locks.lock("a")
        held = await alice(lock.acquire)
        with raises(LockNotOwned):
            await bob(lock.release)
        assert await alice(lock.owned)
        assert not await bob(lock.owned)
        await alice(lock.release)
        await alice(held.release)
        with raises(LockNotOwned):
            await alice(lock.release)

    @contract_test
    async def test_reentry_is_refused_unless_asked_for(self, world: World) -> None:
        """Waiting for oneself is an error; a reentrant lock counts."""
        locks, alice = world.provider(), world.actor()
        plain, again = locks.lock("a"), locks.lock("b", reentrant=True)
        held = await alice(plain.acquire)
        with raises(LockReentry):
            await alice(plain.acquire)
        assert await alice(plain.try_acquire) is None
        await alice(held.release)
        outer = await alice(again.acquire)
        inner = await alice(again.acquire)
        assert inner is outer
        await alice(inner.release)
        assert outer.alive
        await alice(outer.release)
        assert not outer.alive

    @contract_test
    async def test_refused_inside_a_transaction(self, world: World) -> None:
        """A lock inside an open transaction of the store would protect an old snapshot."""
        lock = world.provider().lock("a")

        async def inside_aio() -> None:
            in_transaction.set(True)
            try:
                await lock.acquire()
            finally:
                in_transaction.set(False)

        def inside_sync() -> None:
            in_transaction.set(True)
            try:
                lock.acquire()
            finally:
                in_transaction.set(False)

        with raises(LockInTransaction):
            await world.actor()(inside_aio if world.is_async else inside_sync)

    @contract_test
    async def test_many_keys_all_or_none(self, world: World) -> None:
        """Several locks come together or not at all, whatever the order and repetition of their names."""
        locks, alice, bob = world.provider(), world.actor(), world.actor()
        held = await alice(locks.lock("b").acquire)
        both = locks.multi("b", "a", "b")
        assert await bob(both.acquire, timeout=0.05) is None
        assert not await bob(locks.lock("a").locked)
        await alice(held.release)
        leases = await bob(both.acquire)
        assert list(leases.leases) == ["a", "b"]
        leases.check()
        await bob(leases.release)
        assert not await bob(locks.lock("a").locked)

    @contract_test
    async def test_opposite_orders_do_not_deadlock(self, world: World) -> None:
        """Two actors that name the same locks in opposite order take turns."""
        locks, alice, bob = world.provider(), world.actor(), world.actor()

        async def rounds_aio(multi: Any) -> None:
            for _ in range(5):
                async with multi.hold(timeout=20):
                    await asyncio.sleep(0)

        def rounds_sync(multi: Any) -> None:
            for _ in range(5):
                with multi.hold(timeout=20):
                    _let_others_run()

        rounds = rounds_aio if world.is_async else rounds_sync
        await asyncio.gather(alice(rounds, locks.multi("x", "y")), bob(rounds, locks.multi("y", "x")))

    @contract_test
    async def test_inspect_and_break(self, world: World) -> None:
        """`inspect` shows owner, metadata and waiters; `break_` takes the lock away and the next one has it."""
        locks, alice, bob = world.provider(), world.actor(), world.actor()
        lock = locks.lock("a", metadata="job 7")
        held = await alice(lock.acquire)
        info = await bob(locks.inspect, "a")
        assert info.holders[0].owner == held.token
        assert info.holders[0].metadata == "job 7"
        assert info.holders[0].token == held.fencing_token
        assert info.holders[0].held_s is None or 0 <= info.holders[0].held_s < 60
        assert (info.holders[0].held_s is not None) == self.shows_held_s
        second = bob(lock.acquire)
        onlooker = world.actor()
        assert await waiting(second)
        assert await onlooker(locks.break_, "a")
        lease = await second
        assert lease.fencing_token > held.fencing_token
        await bob(lease.release)
        assert not await onlooker(locks.break_, "a")


def _let_others_run() -> None:
    """Let another thread in between the read and the write."""
    threading.Event().wait(0.001)


def _note(order: list[int], number: int, _: object) -> None:
    order.append(number)
