"""The negative controls of the public contract: each broken provider fails the test that is there to catch it."""

import itertools
from dataclasses import replace
from unittest import SkipTest

import pytest

from stockade.locks import MemoryLocks, aio
from stockade.locks.memory import MemoryBackend
from stockade.locks.testing import LockContract


class InMemory(LockContract):
    """Over `MemoryLocks`, which keep the contract as long as nothing is patched."""

    needs_lease = False
    in_process = True
    limit_s = 2.0

    def __init__(self, make_provider):
        self.make_provider = make_provider


@pytest.fixture(params=[MemoryLocks, aio.MemoryLocks], ids=["sync", "aio"])
def contract(request):
    """The contract on each face."""
    return InMemory(request.param)


def everybody_fits(patch):
    """A lock that is granted to every caller."""
    patch.setattr(MemoryBackend, "_fits", staticmethod(lambda cell, request: True))


def same_token(patch):
    """Every grant has the same fencing token."""
    granted = MemoryBackend._new_grant
    patch.setattr(
        MemoryBackend,
        "_new_grant",
        lambda self, request: (replace(granted(self, request)[0], fencing_token=1), self._runtime.now()),
    )


def nothing_handed_on(patch):
    """A release wakes no waiter."""
    patch.setattr(MemoryBackend, "_grant_next", lambda self, key, cell: None)


def last_first(patch):
    """The last waiter is served first."""
    hand_on = MemoryBackend._grant_next

    def reversed_queue(self, key, cell):
        for owner in reversed(list(cell.queue or ())):
            cell.queue.move_to_end(owner)
        hand_on(self, key, cell)

    patch.setattr(MemoryBackend, "_grant_next", reversed_queue)


def waiters_stay(patch):
    """A waiter whose time is up stays in the queue."""
    patch.setattr(MemoryBackend, "_leave", lambda self, key, cell, waiter, *, keep_grant: waiter.grant)


def metadata_lost(patch):
    """`inspect` shows an owner that is not the holder's."""
    numbers = itertools.count()
    inspect = MemoryBackend.inspect

    async def confused(self, name, kind):
        info = await inspect(self, name, kind)
        return info._replace(holders=tuple(each._replace(owner=f"x.{next(numbers)}") for each in info.holders))

    patch.setattr(MemoryBackend, "inspect", confused)


def waits_go_on(patch):
    """Closing the provider ends no wait."""
    patch.setattr(MemoryBackend, "cancel_waits", lambda self: None)


BROKEN = {
    everybody_fits: ["test_excludes_and_hands_on", "test_lost_update_needs_the_lock", "test_try_and_timeout"],
    same_token: ["test_excludes_and_hands_on"],
    nothing_handed_on: ["test_excludes_and_hands_on"],
    last_first: ["test_first_come_first_served"],
    waiters_stay: ["test_try_and_timeout"],
    metadata_lost: ["test_inspect_and_break", "test_a_token_of_ones_own"],
    waits_go_on: ["test_a_call_that_waits_ends"],
}
CAUGHT = [pytest.param(breaks, test, id=f"{breaks.__name__}-{test}") for breaks in BROKEN for test in BROKEN[breaks]]


@pytest.mark.parametrize(("breaks", "test"), CAUGHT)
def test_a_broken_provider_fails(contract, monkeypatch, breaks, test):
    """The contract's test fails over the broken provider, and passes once it is whole again."""
    with monkeypatch.context() as patch:
        breaks(patch)
        with pytest.raises((AssertionError, TimeoutError)):
            getattr(contract, test)()
    getattr(contract, test)()


def test_a_test_that_does_not_apply_is_skipped():
    """Without order, without shared locks: the tests of these say so, and do not pass in silence."""
    contract = InMemory(MemoryLocks)
    contract.fair = contract.shared = False
    for name in ("test_first_come_first_served", "test_readers_share_and_writers_do_not"):
        with pytest.raises(SkipTest):
            getattr(contract, name)()
