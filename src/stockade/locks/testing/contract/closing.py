"""What a closed provider does: every later call is refused at once, and every call that waits ends."""

from collections.abc import Callable
from typing import Any

from stockade.locks.errors import ProviderClosed
from stockade.locks.testing.contract.world import (
    ContractBase,
    World,
    contract_test,
    eventually,
    queued,
    raises,
    waiting,
)

_AT_ONCE_S = 0.5
_CALLS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "acquire": lambda locks, lock, lease: lock.acquire(),
    "acquire with limit": lambda locks, lock, lease: lock.acquire(timeout=5),
    "try": lambda locks, lock, lease: lock.try_acquire(),
    "multi": lambda locks, lock, lease: locks.multi("b", "c").acquire(timeout=5),
    "adopt": lambda locks, lock, lease: locks.lock(lease.name).adopt(lease),
    "inspect": lambda locks, lock, lease: locks.inspect("a"),
    "break": lambda locks, lock, lease: locks.break_("a"),
}


class ClosingContract(ContractBase):
    """What a closed provider does."""

    @contract_test
    async def test_every_later_call_is_refused_at_once(self, world: World) -> None:
        """Every call after `close` ends with ProviderClosed; closing once more does nothing."""
        locks, alice = world.provider(), world.actor()
        lock = locks.lock("b")
        lease = await alice(locks.lock("a").acquire, timeout=5)
        kept = await alice(locks.lock("kept", on_lost="ignore").acquire, timeout=5)
        detached = lease.detach()
        await alice(locks.close)
        for name, call in _CALLS.items():
            refused = alice(call, locks, lock, detached)
            assert not await waiting(refused, _AT_ONCE_S), name
            with raises(ProviderClosed, match="closed"):
                await refused
        if not self.close_ends_leases:
            for late in (kept.release, lambda: kept.extend(10)):
                with raises(ProviderClosed):
                    await alice(late)
        await alice(locks.close)

    @contract_test
    async def test_a_call_that_waits_ends(self, world: World) -> None:
        """A caller that waits without a limit gets ProviderClosed as soon as its provider is closed."""
        holder, locks = world.provider(), world.provider()
        alice, bob, carol = world.actor(), world.actor(), world.actor()
        await alice(holder.lock("a", lease_s=60).acquire, timeout=5)
        waiter = bob(locks.lock("a").acquire)
        if self.fair:
            await queued(world, holder.lock("a"), 1)
        assert await waiting(waiter, 0.2)
        await carol(locks.close)
        assert not await waiting(waiter, _AT_ONCE_S)
        with raises(ProviderClosed, match="closed"):
            await waiter
        if self.fair and holder is not locks:

            async def no_waiter() -> bool:
                return not (await alice(holder.inspect, "a")).waiters

            await eventually(no_waiter)  # a database checks once a second whether its waiting client is still there
