"""A closed provider: every later call is refused at once, and every call that waits ends, with one class of error."""

import pytest

from stockade import locks as sync
from stockade.locks import LockUnavailable, ProviderClosed, aio
from stockade.locks.engine.manager import LockManager
from tests.locks.conftest import MAKERS, NEEDS, World
from tests.locks.harness import eventually, queued, waiting

LATER_S = 0.5
KINDS = [pytest.param(kind, marks=[NEEDS[kind]] if kind in NEEDS else []) for kind in MAKERS]
CALLS = {
    "acquire": lambda locks, lock, lease: lock.acquire(),
    "acquire with limit": lambda locks, lock, lease: lock.acquire(timeout=5),
    "try": lambda locks, lock, lease: lock.try_acquire(),
    "multi": lambda locks, lock, lease: locks.multi("b", "c").acquire(timeout=5),
    "adopt": lambda locks, lock, lease: lock.adopt(lease),
    "inspect": lambda locks, lock, lease: locks.inspect("a"),
    "break": lambda locks, lock, lease: locks.break_("a"),
}


@pytest.fixture(params=["sync", "aio"])
def face(request):
    """Each face, by name."""
    return request.param


@pytest.fixture
async def closing(request, face):
    """Makes a provider of a kind; it and its actors are closed in the end."""
    worlds = []

    def make(kind):
        module = aio if face == "aio" else sync
        worlds.append(World(face, kind, lambda: MAKERS[kind](module, request)))
        return worlds[-1]

    yield make
    for world in worlds:
        await world.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_every_later_call_is_refused_at_once(closing, kind):
    """Whatever is called after `close`, it ends with ProviderClosed; closing once more is harmless."""
    world = closing(kind)
    locks, alice = world.provider(), world.actor()
    lock = locks.lock("b")
    lease = await alice(locks.lock("a").acquire, timeout=5)
    kept = await alice(locks.lock("kept", on_lost="ignore").acquire, timeout=5)
    detached = lease.detach()
    await alice(locks.close)
    for name, call in CALLS.items():
        refused = alice(call, locks, lock, detached)
        assert not await waiting(refused, LATER_S), name
        with pytest.raises(ProviderClosed, match="closed"):
            await refused
    if kind not in ("postgres", "mysql"):  # their leases have ended with their sessions
        for call in (kept.release, lambda: kept.extend(10)):
            with pytest.raises(ProviderClosed):
                await alice(call)
    await alice(locks.close)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_call_that_waits_ends(closing, kind):
    """Who waits without a limit, for a lock that somebody else has, is told as soon as the provider is closed."""
    world = closing(kind)
    holder, locks = world.provider(), world.provider()
    alice, bob, carol = world.actor(), world.actor(), world.actor()
    await alice(holder.lock("a", lease_s=60).acquire, timeout=5)
    waiter = bob(locks.lock("a").acquire)
    if world.fair:
        await queued(world, holder.lock("a"), 1)
    assert await waiting(waiter, 0.2)
    await carol(locks.close)
    assert not await waiting(waiter, LATER_S)
    with pytest.raises(ProviderClosed, match="closed"):
        await waiter
    if world.fair and holder is not locks:

        async def nobody():
            return not (await alice(holder.inspect, "a")).waiters

        await eventually(nobody)  # a database looks once a second whether its waiting client is still there


async def test_control_without_the_end_of_waits(closing, monkeypatch):
    """The control: a provider that only closes its connections leaves who waits in memory waiting."""

    async def nothing(self, backend, end):
        return None

    world = closing("memory")
    locks, alice, bob = world.provider(), world.actor(), world.actor()
    held = await alice(locks.lock("a").acquire)
    waiter = bob(locks.lock("a").acquire)
    assert await waiting(waiter, 0.1)
    with monkeypatch.context() as patched:
        patched.setattr(LockManager, "_end_waits", nothing)
        await alice(locks.close)
    assert await waiting(waiter, LATER_S)
    locks.backend.cancel_waits()
    with pytest.raises(ProviderClosed):
        await waiter
    assert held.alive


def test_it_is_no_outage():
    """Waiting does not heal it, so it is not LockUnavailable."""
    assert not issubclass(ProviderClosed, LockUnavailable)
