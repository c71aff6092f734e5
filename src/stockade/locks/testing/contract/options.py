"""What every provider makes of options, decorators, leases that change hands, and wrong arguments."""

import math
from typing import Any

from stockade.locks.errors import LockNotOwned
from stockade.locks.testing.contract.world import ContractBase, World, contract_test, raises, waiting

_FIRST, _SECOND = "job-7", "job-8"


class OptionsContract(ContractBase):
    """What every provider makes of options, decorators, leases that change hands, and wrong arguments."""

    @contract_test
    async def test_decorators(self, world: World) -> None:
        """A decorated function runs under its lock; a template names the lock by the arguments."""
        locks, alice = world.provider(), world.actor()
        seen = []

        async def work_aio(order_id: int, amount: int = 1) -> int:
            seen.append((await locks.inspect(f"order:{order_id}")).locked)
            return amount

        def work_sync(order_id: int, amount: int = 1) -> int:
            seen.append(locks.inspect(f"order:{order_id}").locked)
            return amount

        async def locked_aio() -> Any:
            return await locks.lock("all").locked()

        def locked_sync() -> Any:
            return locks.lock("all").locked()

        by_order = locks.synchronized("order:{order_id}", timeout=1)
        work = by_order(work_aio if world.is_async else work_sync)
        other = locks.lock("all")(locked_aio if world.is_async else locked_sync)
        assert await alice(work, 7, amount=3) == 3
        assert seen == [True]
        assert await alice(other) is True
        assert not await alice(locks.lock("order:7").locked)

    @contract_test
    async def test_decorating_the_wrong_kind_is_refused(self, world: World) -> None:
        """An asyncio lock around a plain function would not lock anything, and the other way round."""
        lock = world.provider().lock("a")

        async def coroutine() -> None:
            return None

        def plain() -> None:
            return None

        with raises(TypeError):
            lock(plain if world.is_async else coroutine)

    @contract_test
    async def test_detach_and_adopt(self, world: World) -> None:
        """A lease can move to another actor and stays held meanwhile."""
        locks, alice, bob = world.provider(), world.actor(), world.actor()
        lock = locks.lock("a")
        held = await alice(lock.acquire)
        parcel = await alice(held.detach)
        assert await bob(lock.locked)
        mine = await bob(lock.adopt, parcel)
        assert mine.token == parcel.token
        await bob(lock.release)
        with raises(LockNotOwned):
            await bob(lock.adopt, parcel)

    @contract_test
    async def test_bad_arguments(self, world: World) -> None:
        """What makes no sense is refused before anything is sent."""
        locks, alice = world.provider(), world.actor()
        with raises(ValueError, match="name"):
            locks.lock("")
        with raises(ValueError, match="lease_s"):
            locks.lock("a", lease_s=0)
        with raises(ValueError, match="none was named"):
            locks.multi()
        with raises(ValueError, match="takes no timeout"):
            await alice(locks.lock("a").acquire, False, 3)
        with raises(ValueError, match="timeout must be 0 or more seconds"):
            await alice(locks.lock("a").acquire, timeout=-3)

    @contract_test
    async def test_a_lock_without_a_lease_only_where_its_holder_is_seen(self, world: World) -> None:
        """Where only the lease shows that a holder is gone, a lock of any kind without a lease is refused."""
        locks, alice = world.provider(), world.actor()
        if not self.needs_lease:
            lease = await alice(locks.lock("a", lease_s=None).acquire)
            assert lease.alive
            await alice(lease.release)
            return
        held = await alice(locks.lock("b").acquire)
        with raises(ValueError, match="lease"):
            await alice(held.extend, math.inf)
        held.check()
        await alice(held.release)
        for make in (locks.lock, locks.rwlock, lambda name, **options: locks.semaphore(name, 2, **options)):
            with raises(ValueError, match="lease"):
                make("a", lease_s=None)
            with raises(ValueError, match="lease"):
                make("a", lease_s=math.inf)

    @contract_test
    async def test_a_token_of_ones_own(self, world: World) -> None:
        """The owner id ends in the caller's word, also after a wait; what is not a word is refused."""
        locks, alice, bob = world.provider(), world.actor(), world.actor()
        held = await alice(locks.lock("a").acquire, token=_FIRST)
        assert held.token.endswith(f".{_FIRST}")
        assert (await bob(locks.inspect, "a")).holders[0].owner == held.token
        waiter = bob(locks.lock("a").acquire, timeout=10, token=_SECOND)
        assert await waiting(waiter)
        await alice(held.release)
        lease = await waiter
        assert lease.token.endswith(f".{_SECOND}")
        await bob(lease.release)
        for wrong in ("", "two words", "a.b", "x" * 33):
            with raises(ValueError, match="word"):
                await alice(locks.lock("a").acquire, token=wrong)
