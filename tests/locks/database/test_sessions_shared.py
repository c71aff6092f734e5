"""A few database sessions carry all locks of a provider: how many, how they are shared, and what their end means.

Neighbours: `test_sessions.py` (one lock), `faults/test_bounds_sessions.py` (time), `test_sessions_processes.py`
(forks).
"""

import asyncio
from urllib.parse import urlsplit

import asyncmy
import asyncpg
import pytest

from stockade.locks import aio
from stockade.locks.database.pool import SessionPool
from tests.locks.harness import eventually, waiting

LIMIT = 8


class Database:
    """A database of the test's own, and a look at it."""

    def __init__(self, kind, url):
        self.kind = kind
        self.url = url

    def provider(self, **options):
        """A provider, as another process would have it."""
        return (aio.PostgresLocks if self.kind == "postgres" else aio.MySQLLocks)(self.url, **options)

    async def query(self, postgres, mysql, *args):
        """One value, by the statement for this kind."""
        parts = urlsplit(self.url)
        if self.kind == "postgres":
            connection = await asyncpg.connect(self.url)
            try:
                return await connection.fetchval(postgres, *args)
            finally:
                await connection.close()
        where = {"host": parts.hostname, "port": parts.port, "user": parts.username, "password": parts.password or ""}
        connection = await asyncmy.connect(**where, db=parts.path[1:], autocommit=True)
        try:
            async with connection.cursor() as cursor:
                await cursor.execute(mysql, args or None)
                rows = await cursor.fetchall()
                return rows[0][0] if rows else None
        finally:
            await connection.ensure_closed()

    async def sessions(self):
        """How many sessions others have."""
        return await self.query(
            "SELECT count(*) - 1 FROM pg_stat_activity WHERE datname = current_database()",
            "SELECT count(*) - 1 FROM information_schema.processlist WHERE db = DATABASE()",
        )

    async def kill(self, session):
        """End a session by force."""
        await self.query(f"SELECT pg_terminate_backend({session})", f"KILL {session}")


@pytest.fixture(
    params=[
        pytest.param("postgres", marks=pytest.mark.postgres),
        pytest.param("mysql", marks=pytest.mark.mariadb),
    ]
)
def database(request):
    """Each kind."""
    name = "postgres_database" if request.param == "postgres" else "mariadb_database"
    return Database(request.param, request.getfixturevalue(name))


def acquire(locks, names):
    """A task for each name that waits for its lock."""
    return [asyncio.create_task(locks.lock(name).acquire(timeout=60)) for name in names]


@pytest.mark.parametrize("limit", [1, 3, LIMIT])
async def test_connections_are_bounded(database, limit):
    """Many holders, many waiters for one name and for many names: never more sessions than allowed, and all get in."""
    async with database.provider() as other, database.provider(connections=limit) as locks:
        held = [await other.lock(f"n{number}").acquire(timeout=10) for number in range(30)]
        before = await database.sessions()
        own = [await locks.lock(f"own{number}").acquire(timeout=10) for number in range(30)]
        waiters = acquire(locks, ["n0"] * 60 + [f"n{number}" for number in range(1, 30)])
        assert await waiting(waiters[-1], 0.3)
        assert await database.sessions() - before <= limit
        assert len(locks.backend._locks.pool.sessions) <= limit

        async def release(waiter):
            lease = await waiter
            await lease.release()

        await asyncio.gather(*[lease.release() for lease in held], *[release(waiter) for waiter in waiters])
        assert await database.sessions() - before <= limit
        for lease in own:
            await lease.release()


async def visits_at_once(locks, tasks=6, turns=5):
    """How many were inside one lock together, at most."""
    inside, most = 0, 0

    async def visit():
        nonlocal inside, most
        for _ in range(turns):
            async with locks.lock("a"):
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0)
                inside -= 1

    await asyncio.gather(*[visit() for _ in range(tasks)])
    return most


async def test_holders_on_one_session_exclude_each_other(database):
    """The server lets a session take a lock twice; with one session for all, one is inside at a time all the same."""
    async with database.provider(connections=1) as locks:
        assert await visits_at_once(locks) == 1


class Forgetful(dict):
    """Every request is alone."""

    def get(self, key, default=None):
        return None


async def test_control_without_the_queue_two_are_inside(database):
    """The mutant that sends every request to the server itself: its one session is granted the lock again."""
    async with database.provider(connections=1) as locks:
        await (await locks.lock("a").acquire(timeout=10)).release()
        locks.backend._locks.queues = Forgetful()
        first = await locks.lock("b").acquire(timeout=10)
        second = await asyncio.create_task(locks.lock("b").acquire(timeout=10))
        assert first
        assert second


async def release_beside_waiters(database):
    """Waiters on every waiting session, and beyond; whether a lease of the same provider is given back at once."""
    async with database.provider() as other, database.provider() as locks:
        held = [await other.lock(f"n{number}").acquire(timeout=10) for number in range(12)]
        mine = await locks.lock("mine").acquire(timeout=10)
        waiters = acquire(locks, [f"n{number}" for number in range(12)])
        assert await waiting(waiters[-1], 0.5)
        release = asyncio.create_task(mine.release())
        at_once = not await waiting(release, 1.0)
        await asyncio.gather(*[lease.release() for lease in held])
        await release
        for lease in await asyncio.gather(*waiters):
            await lease.release()
        return at_once


async def test_a_release_is_never_behind_a_waiter(database):
    """The session that holds a lock is free to give it back, however many wait."""
    assert await release_beside_waiters(database)


async def test_control_a_release_behind_a_waiter_is_seen(database, monkeypatch):
    """The mutant that waits on the server with the session that holds: the release comes after the wait."""
    monkeypatch.setattr(SessionPool, "free_waiting_session", lambda self: self._shared_sessions[0])
    assert not await release_beside_waiters(database)


async def test_a_lost_session_is_reported_to_every_holder(database):
    """A session that is ended by force: each of its holders is notified, also one without a renewal; no other is."""
    async with database.provider() as locks, database.provider() as other:
        leases = [
            await locks.lock(f"n{number}", on_lost="ignore", lease_s=30 if number else None).acquire(timeout=10)
            for number in range(5)
        ]
        apart = await other.lock("apart").acquire(timeout=10)
        sessions = {locks.backend._locks.holds[lease.token].session.number for lease in leases}
        assert len(sessions) == 1
        waits = [asyncio.create_task(lease.wait_lost(10)) for lease in leases]
        await database.kill(sessions.pop())
        assert await asyncio.gather(*waits) == [True] * 5
        apart.check()
        again = await locks.lock("n0").acquire(timeout=10)
        assert again.fencing_token > leases[0].fencing_token
        await again.release()
        await apart.release()


async def test_who_gives_up_disturbs_no_holder(database):
    """Waits that are cancelled, or end in vain, leave the locks of the same sessions held, and no session more."""
    async with database.provider() as other, database.provider(lease_s=1.0) as locks:
        busy = [await other.lock(f"n{number}").acquire(timeout=10) for number in range(6)]
        mine = [await locks.lock(f"mine{number}").acquire(timeout=10) for number in range(6)]
        before = await database.sessions()
        for turn in range(5):
            waiters = acquire(locks, [f"n{number}" for number in range(6)])
            vain = [asyncio.create_task(locks.lock(f"n{number}").acquire(timeout=0.05)) for number in range(6)]
            assert await waiting(waiters[0], 0.02 * turn)
            for waiter in waiters:
                waiter.cancel()
            await asyncio.gather(*waiters, return_exceptions=True)
            assert await asyncio.gather(*vain) == [None] * 6

        async def nobody_waits():
            return not any([(await other.inspect(f"n{number}")).waiters for number in range(6)])

        await eventually(nobody_waits)
        for lease in mine:
            await lease.extend(1.0)
            await lease.release()
        assert await database.sessions() - before <= LIMIT
        for lease in busy:
            await lease.release()


async def test_a_thousand_of_each(database):
    """A thousand locks held at once over eight sessions, and a thousand waiters for them; tokens grow by name."""
    names = [f"n{number}" for number in range(1000)]
    async with database.provider(lease_s=None) as holders, database.provider(lease_s=None) as locks:
        held = [await holders.lock(name).acquire(timeout=30) for name in names]
        waiters = acquire(locks, names)
        assert await waiting(waiters[0], 0.2)
        assert await database.sessions() <= 2 * LIMIT
        await asyncio.gather(*[lease.release() for lease in held])
        later = await asyncio.gather(*waiters)
        assert all(new.fencing_token > old.fencing_token for new, old in zip(later, held, strict=True))
        await asyncio.gather(*[lease.release() for lease in later])
        assert not locks.backend._locks.in_use


async def test_inspect_tells_apart_who_shares_a_session(database):
    """Two locks of one session, seen from this provider and from another: each with its holder, or its session."""
    async with database.provider() as locks, database.provider() as onlooker:
        first = await locks.lock("a", metadata="one").acquire(timeout=10)
        second = await locks.lock("b", metadata="two").acquire(timeout=10)
        for lease, text in ((first, "one"), (second, "two")):
            holder = (await locks.inspect(lease.name)).holders[0]
            assert (holder.owner, holder.token, holder.metadata) == (lease.token, lease.fencing_token, text)
        seen = (await onlooker.inspect("b")).holders[0]
        assert (seen.owner, seen.token, seen.metadata) == (second.token, second.fencing_token, "two")
        assert (await onlooker.inspect("a")).locked
        assert await locks.break_("a")
        assert not (await onlooker.inspect("a")).locked
        second.check()
        await second.release()


@pytest.mark.parametrize("wrong", [{"connections": 0}, {"patience_s": 0}])
async def test_bounds_that_make_no_sense_are_refused(database, wrong):
    """A provider without connections, or without patience, is a ValueError."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        database.provider(**wrong)
