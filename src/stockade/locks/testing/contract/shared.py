"""Read/write locks and semaphores, for providers that have them."""

from typing import Any
from unittest import SkipTest

from stockade.locks.errors import LockReentry
from stockade.locks.testing.contract.world import ContractBase, World, contract_test, queued, raises, waiting


class SharedContract(ContractBase):
    """Read/write locks and semaphores, for providers that have them."""

    def _shared_provider(self, world: World) -> Any:
        if not self.shared:
            raise SkipTest("this provider has no shared locks")
        return world.provider()

    @contract_test
    async def test_readers_share_and_writers_do_not(self, world: World) -> None:
        """Two readers hold together, a writer waits for both, then holds alone."""
        rw = self._shared_provider(world).rwlock("doc")
        alice, bob, carol, dave = (world.actor() for _ in range(4))
        first, second = await alice(rw.read.acquire), await bob(rw.read.acquire)
        writer = carol(rw.write.acquire)
        assert await waiting(writer)
        await alice(first.release)
        assert await waiting(writer)
        await bob(second.release)
        lease = await writer
        assert await dave(rw.read.try_acquire) is None
        await carol(lease.release)
        again = await dave(rw.read.try_acquire)
        await dave(again.release)

    @contract_test
    async def test_a_waiting_writer_stops_later_readers(self, world: World) -> None:
        """Writers do not starve: a reader that comes after a waiting writer waits behind it."""
        if not self.fair:
            raise SkipTest("this provider promises no order")
        rw = self._shared_provider(world).rwlock("doc")
        alice, bob, carol = (world.actor() for _ in range(3))
        reader = await alice(rw.read.acquire)
        writer = bob(rw.write.acquire)
        await queued(world, rw.write, 1)
        late = carol(rw.read.acquire)
        await queued(world, rw.write, 2)
        await alice(reader.release)
        lease = await writer
        assert await waiting(late)
        await bob(lease.release)
        await carol((await late).release)

    @contract_test
    async def test_upgrade_is_refused(self, world: World) -> None:
        """A reader that requests the write lock would wait for itself."""
        rw, alice = self._shared_provider(world).rwlock("doc"), world.actor()
        lease = await alice(rw.read.acquire)
        with raises(LockReentry):
            await alice(rw.write.acquire)
        await alice(lease.release)

    @contract_test
    async def test_semaphore_admits_its_permits(self, world: World) -> None:
        """Two of two permits are granted; the third caller waits for the first release."""
        permits = self._shared_provider(world).semaphore("pool", 2)
        alice, bob, carol = (world.actor() for _ in range(3))
        first, second = await alice(permits.acquire), await bob(permits.acquire)
        third = carol(permits.acquire)
        assert await waiting(third)
        assert len((await world.actor()(permits.inspect)).holders) == 2
        await alice(first.release)
        await carol((await third).release)
        await bob(second.release)
        assert not await bob(permits.locked)

    @contract_test
    async def test_one_actor_may_hold_two_permits(self, world: World) -> None:
        """Permits are not bound to the caller; `release` gives back the newest first."""
        permits, alice = self._shared_provider(world).semaphore("pool", 2), world.actor()
        older, newer = await alice(permits.acquire), await alice(permits.acquire)
        await alice(permits.release)
        assert newer.released
        assert not older.released
        await alice(permits.release)
        assert older.released
