"""What every provider promises on every face. Modelled on DistributedLock's abstract test cases: written once."""

import asyncio
import math
import threading

import pytest

from stockade.core import LockInTransaction, in_transaction
from stockade.locks import LockNotOwned, LockReentry, LockTimeout
from tests.locks.harness import queued, waiting


async def test_excludes_and_hands_on(world):
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


async def test_lost_update_needs_the_lock(world):
    """Ten actors count without losing a step; the same without the lock loses some (the control)."""
    locks = world.provider()
    counter = {"with": 0, "without": 0}
    actors = [world.actor() for _ in range(5)]

    async def count_aio(key, lock):
        if lock is None:
            value = counter[key]
            await asyncio.sleep(0)
            counter[key] = value + 1
            return
        async with lock:
            await count_aio(key, None)

    def count_sync(key, lock):
        if lock is None:
            value = counter[key]
            threading_pause()
            counter[key] = value + 1
            return
        with lock:
            count_sync(key, None)

    count = count_aio if world.face == "aio" else count_sync
    for key, lock in (("with", locks.lock("count")), ("without", None)):
        await asyncio.gather(*[actor(count, key, lock) for actor in actors for _ in range(6)])
    assert counter["with"] == 30
    assert counter["without"] < 30


def threading_pause() -> None:
    """Let another thread in between the read and the write."""
    threading.Event().wait(0.001)


async def test_first_come_first_served(world):
    """Waiters get the lock in the order in which they asked."""
    if not world.fair:
        pytest.skip("this provider promises no order")
    locks, alice = world.provider(), world.actor()
    lock = locks.lock("a")
    held = await alice(lock.acquire)
    calls, order = [], []
    for number in range(4):
        actor = world.actor()
        call = actor(lock.acquire)
        call.add_done_callback(lambda _, number=number: order.append(number))
        calls.append((actor, call))
        await queued(world, lock, len(calls))
    await alice(held.release)
    for actor, call in calls:
        lease = await call
        await actor(lease.release)
    assert order == [0, 1, 2, 3]


async def test_try_and_timeout(world):
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


async def test_hold_raises_lock_timeout(world):
    """Where a lease is needed and does not come, LockTimeout says which lock."""
    locks, alice, bob = world.provider(), world.actor(), world.actor()
    lock = locks.lock("a")
    held = await alice(lock.acquire)

    async def enter_aio():
        async with lock.hold(timeout=0.02):
            pytest.fail("entered")

    def enter_sync():
        with lock.hold(timeout=0.02):
            pytest.fail("entered")

    with pytest.raises(LockTimeout) as error:
        await bob(enter_aio if world.face == "aio" else enter_sync)
    assert error.value.lock_name == "a"
    await alice(held.release)


async def test_only_the_owner_releases(world):
    """Release by somebody else is refused, a second release is harmless."""
    locks, alice, bob = world.provider(), world.actor(), world.actor()
    lock = locks.lock("a")
    held = await alice(lock.acquire)
    with pytest.raises(LockNotOwned):
        await bob(lock.release)
    assert await alice(lock.owned)
    assert not await bob(lock.owned)
    await alice(lock.release)
    await alice(held.release)
    with pytest.raises(LockNotOwned):
        await alice(lock.release)


async def test_reentry_is_refused_unless_asked_for(world):
    """Waiting for oneself is an error; a reentrant lock counts."""
    locks, alice = world.provider(), world.actor()
    plain, again = locks.lock("a"), locks.lock("b", reentrant=True)
    held = await alice(plain.acquire)
    with pytest.raises(LockReentry):
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


async def test_refused_inside_a_transaction(world):
    """A lock inside an open transaction of the store would protect an old snapshot."""
    lock = world.provider().lock("a")

    async def inside_aio():
        in_transaction.set(True)
        try:
            await lock.acquire()
        finally:
            in_transaction.set(False)

    def inside_sync():
        in_transaction.set(True)
        try:
            lock.acquire()
        finally:
            in_transaction.set(False)

    with pytest.raises(LockInTransaction):
        await world.actor()(inside_aio if world.face == "aio" else inside_sync)


async def test_many_keys_all_or_none(world):
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


async def test_opposite_orders_do_not_deadlock(world):
    """Two actors that name the same locks in opposite order take turns."""
    locks, alice, bob = world.provider(), world.actor(), world.actor()

    async def rounds_aio(multi):
        for _ in range(5):
            async with multi.hold(timeout=20):
                await asyncio.sleep(0)

    def rounds_sync(multi):
        for _ in range(5):
            with multi.hold(timeout=20):
                threading_pause()

    rounds = rounds_aio if world.face == "aio" else rounds_sync
    await asyncio.gather(alice(rounds, locks.multi("x", "y")), bob(rounds, locks.multi("y", "x")))


async def test_inspect_and_break(world):
    """`inspect` shows owner, metadata and waiters; `break_` takes the lock away and the next one has it."""
    locks, alice, bob = world.provider(), world.actor(), world.actor()
    lock = locks.lock("a", metadata="job 7")
    held = await alice(lock.acquire)
    info = await bob(locks.inspect, "a")
    assert info.holders[0].owner == held.token
    assert info.holders[0].metadata == "job 7"
    assert info.holders[0].token == held.fencing_token
    assert info.holders[0].held_s is None or 0 <= info.holders[0].held_s < 60
    assert (info.holders[0].held_s is None) == (world.kind in ("postgres", "mysql"))
    second = bob(lock.acquire)
    onlooker = world.actor()
    assert await waiting(second)
    assert await onlooker(locks.break_, "a")
    lease = await second
    assert lease.fencing_token > held.fencing_token
    await bob(lease.release)
    assert not await onlooker(locks.break_, "a")


async def test_decorators(world):
    """A decorated function runs under its lock; a template names the lock by the arguments."""
    locks, alice = world.provider(), world.actor()
    seen = []

    if world.face == "aio":

        @locks.synchronized("order:{order_id}", timeout=1)
        async def work(order_id, amount=1):
            seen.append((await locks.inspect(f"order:{order_id}")).locked)
            return amount

        @locks.lock("all")
        async def other():
            return await locks.lock("all").locked()
    else:

        @locks.synchronized("order:{order_id}", timeout=1)
        def work(order_id, amount=1):
            seen.append(locks.inspect(f"order:{order_id}").locked)
            return amount

        @locks.lock("all")
        def other():
            return locks.lock("all").locked()

    assert await alice(work, 7, amount=3) == 3
    assert seen == [True]
    assert await alice(other) is True
    assert not await alice(locks.lock("order:7").locked)


async def test_decorating_the_wrong_kind_is_refused(world):
    """An asyncio lock around a plain function would not lock anything, and the other way round."""
    lock = world.provider().lock("a")

    async def coroutine():
        return None

    def plain():
        return None

    with pytest.raises(TypeError):
        lock(plain if world.face == "aio" else coroutine)


async def test_detach_and_adopt(world):
    """A lease can be handed to another actor without a moment in which nobody holds it."""
    locks, alice, bob = world.provider(), world.actor(), world.actor()
    lock = locks.lock("a")
    held = await alice(lock.acquire)
    parcel = await alice(held.detach)
    assert await bob(lock.locked)
    mine = await bob(lock.adopt, parcel)
    assert mine.token == parcel.token
    await bob(lock.release)
    with pytest.raises(LockNotOwned):
        await bob(lock.adopt, parcel)


async def test_bad_arguments(world):
    """What makes no sense is refused before anything is sent."""
    locks, alice = world.provider(), world.actor()
    with pytest.raises(ValueError, match="name"):
        locks.lock("")
    with pytest.raises(ValueError, match="lease_s"):
        locks.lock("a", lease_s=0)
    with pytest.raises(ValueError, match="none was named"):
        locks.multi()
    with pytest.raises(ValueError, match="takes no timeout"):
        await alice(locks.lock("a").acquire, False, 3)
    with pytest.raises(ValueError, match="timeout must be 0 or more seconds"):
        await alice(locks.lock("a").acquire, timeout=-3)


async def test_a_lock_without_a_lease_only_where_its_holder_is_seen(world):
    """Where nothing but the lease tells that a holder is gone, a lock, a share or a permit without one is refused."""
    locks, alice = world.provider(), world.actor()
    if world.kind in ("memory", "postgres", "mysql"):
        lease = await alice(locks.lock("a", lease_s=None).acquire)
        assert lease.alive
        await alice(lease.release)
        return
    held = await alice(locks.lock("b").acquire)
    with pytest.raises(ValueError, match="lease"):
        await alice(held.extend, math.inf)
    held.check()
    await alice(held.release)
    for make in (locks.lock, locks.rwlock, lambda name, **options: locks.semaphore(name, 2, **options)):
        with pytest.raises(ValueError, match="lease"):
            make("a", lease_s=None)
        with pytest.raises(ValueError, match="lease"):
            make("a", lease_s=math.inf)


async def test_a_token_of_ones_own(world):
    """The owner id ends in the caller's word, also for one who had to wait; what is no word is refused."""
    locks, alice, bob = world.provider(), world.actor(), world.actor()
    held = await alice(locks.lock("a").acquire, token="job-7")
    assert held.token.endswith(".job-7")
    assert (await bob(locks.inspect, "a")).holders[0].owner == held.token
    waiter = bob(locks.lock("a").acquire, timeout=10, token="job-8")
    assert await waiting(waiter)
    await alice(held.release)
    lease = await waiter
    assert lease.token.endswith(".job-8")
    await bob(lease.release)
    for wrong in ("", "two words", "a.b", "x" * 33):
        with pytest.raises(ValueError, match="word"):
            await alice(locks.lock("a").acquire, token=wrong)
