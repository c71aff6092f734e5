"""Locks held by database sessions: their end is the lock's end, and cancelled waits leave no session behind."""
# ruff: noqa: PT012 - a block under a lock is more than one statement

import asyncio

import pytest

from stockade.locks import LockLost, LockUnavailable, aio
from tests.locks.harness import eventually, queued, work_for_ever


class Actors:
    """What `queued` needs: an actor that inspects."""

    def actor(self):
        async def look(function):
            return await function()

        return look


@pytest.fixture(
    params=[
        pytest.param("postgres", marks=pytest.mark.postgres),
        pytest.param("mysql", marks=pytest.mark.mariadb),
    ]
)
async def provider(request):
    """A provider on each kind of database."""
    if request.param == "postgres":
        made = aio.PostgresLocks(request.getfixturevalue("postgres_url"), prefix=request.node.name, lease_s=0.6)
    else:
        made = aio.MySQLLocks(request.getfixturevalue("mariadb_url"), prefix=request.node.name, lease_s=0.6)
    async with made:
        yield made


async def test_a_broken_lock_tells_its_holder(provider):
    """A lock that is broken: the body is cancelled, LockLost raised, the next one served."""
    with pytest.raises(LockLost):
        async with provider.lock("a"):
            assert await provider.break_("a")
            await work_for_ever()
    async with provider.lock("a").hold(timeout=5) as lease:
        lease.check()


async def test_sign_of_life_moves_the_deadline(provider):
    """A session that answers keeps the lock longer than one lease."""
    async with provider.lock("a") as lease:
        first = lease.deadline
        await eventually(lambda: lease.deadline > first + 0.5)
        lease.check()


async def test_cancelled_waits_leave_nothing(provider):
    """Waits cancelled at many moments: each ends cancelled, no waiter stays, and the lock is free afterwards."""
    lock = provider.lock("a", lease_s=30)  # it must not run out on a busy machine
    held = await lock.acquire()
    for step in range(100):
        task = asyncio.create_task(provider.lock("a").acquire(timeout=20))
        asyncio.get_running_loop().call_later(step * 0.0004, task.cancel)
        answers = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(answers[0], asyncio.CancelledError)
    await provider.runtime.drain(5)

    async def nobody_waits():
        return (await lock.inspect()).waiters == ()

    await eventually(nobody_waits)
    await held.release()
    again = await lock.acquire(timeout=2)
    await again.release()


async def test_tokens_grow_over_sessions(provider):
    """Each grant has a higher token than the one before, whoever gets it."""
    tokens = []
    for _ in range(4):
        async with provider.lock("a") as lease:
            tokens.append(lease.fencing_token)
    assert tokens == sorted(set(tokens))


async def test_the_longest_owner_has_a_token(provider):
    """A caller's own word of 32 letters, in any script, and long metadata: granted at once and after a wait."""
    word = "글" * 32
    held = await provider.lock("a", metadata="m" * 300).acquire(timeout=5, token=word)
    waiter = asyncio.create_task(provider.lock("a", metadata="m" * 300).acquire(timeout=5, token=word[:-1] + "x"))
    await queued(Actors(), provider.lock("a"), 1)
    await held.release()
    later = await waiter
    assert later.fencing_token > held.fencing_token
    await later.release()


@pytest.mark.postgres
async def test_a_token_is_shown_whole_or_not_at_all(postgres_url, request):
    """The server cuts a label at 63 bytes: whatever an owner's length leaves of the token, no other number is shown."""
    shown = set()
    async with (
        aio.PostgresLocks(postgres_url, prefix=request.node.name) as locks,
        aio.PostgresLocks(postgres_url, prefix=request.node.name) as others,
    ):
        for length in range(1, 33):
            lease = await locks.lock("a").acquire(timeout=5, token="o" * length)
            (holder,) = (await others.lock("a").inspect()).holders
            assert holder.token in (0, lease.fencing_token)
            shown.add(holder.token)
            await lease.release()
    assert 0 in shown
    assert len(shown) > 1


async def test_waiter_is_served_after_release(provider):
    """A waiter in the database's own queue gets the lock when it is given back."""
    lock = provider.lock("a")
    held = await lock.acquire()
    waiter = asyncio.create_task(lock.acquire())
    await queued(Actors(), lock, 1)
    await held.release()
    await (await waiter).release()


@pytest.mark.parametrize("module", ["PostgresLocks", "MySQLLocks"])
async def test_no_server_is_unavailable(module):
    """A database that is not there is LockUnavailable, not a lock that is held elsewhere."""
    scheme = "postgresql" if module == "PostgresLocks" else "mysql"
    async with getattr(aio, module)(f"{scheme}://nobody@127.0.0.1:1/none") as locks:
        with pytest.raises(LockUnavailable):
            await locks.lock("a").acquire(timeout=1)
