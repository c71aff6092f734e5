"""Sessions that several users share, as behind PgBouncer: a lock may not leak to the next user of the session."""

import asyncio
from urllib.parse import urlsplit

import pytest

from stockade import locks as sync
from stockade.core import NotSupported
from stockade.devservers.tcp_proxy import TcpProxy
from stockade.locks import aio
from stockade.locks.database.postgres import PostgresLockDialect

pytestmark = pytest.mark.postgres
# what a pooler does with a parameter at the start of a session that it does not know
STRICT, LENIENT = {}, {"ignore_startup_parameters": "extra_float_digits,client_connection_check_interval"}


def through(url: str, port: int) -> str:
    """The same database through another port, without TLS."""
    parts = urlsplit(url)
    user = f"{parts.username or ''}{':' + parts.password if parts.password else ''}"
    return parts._replace(netloc=f"{user}@127.0.0.1:{port}", query="sslmode=disable").geturl()


def take_once(url):
    """Take a lock in a thread."""
    with sync.PostgresLocks(url) as locks, locks.lock("a").hold(timeout=10):
        pass


async def take_once_async(url):
    """The same in a task."""
    async with aio.PostgresLocks(url) as locks, locks.lock("a").hold(timeout=10):
        pass


@pytest.mark.pgbouncer
@pytest.mark.parametrize("settings", [STRICT, LENIENT, {"server_round_robin": 1}], ids=["strict", "lenient", "robin"])
@pytest.mark.parametrize("mode", ["transaction", "statement"])
async def test_a_pooler_that_changes_sessions_is_refused(servers, mode, settings):
    """In transaction and statement mode: refused on both faces when a lock is taken, in one line with the reason."""
    pooler = servers.pgbouncer(servers.postgres(), pool_mode=mode, **settings)
    for call in (lambda: take_once_async(pooler.url), lambda: asyncio.to_thread(take_once, pooler.url)):
        with pytest.raises(NotSupported, match="pooler") as refused:
            await call()
        assert "\n" not in str(refused.value)


@pytest.mark.pgbouncer
@pytest.mark.parametrize("settings", [STRICT, {"default_pool_size": 4, "reserve_pool_size": 0}], ids=["wide", "narrow"])
async def test_a_pooler_in_session_mode_works(servers, settings):
    """In session mode locks exclude, wait and are handed on; also where the pool has fewer sessions than the provider
    may open."""
    pooler = servers.pgbouncer(servers.postgres(), pool_mode="session", **settings)
    async with aio.PostgresLocks(pooler.url, connections=3) as locks:
        leases = [await locks.lock(f"n{number}").acquire(timeout=10) for number in range(20)]
        waiter = asyncio.create_task(locks.lock("n0").acquire(timeout=10))
        await leases[0].release()
        later = await waiter
        assert later.fencing_token > leases[0].fencing_token
        for lease in [*leases[1:], later]:
            lease.check()
            await lease.release()
    await asyncio.to_thread(take_once, pooler.url)


@pytest.mark.pgbouncer
async def test_control_without_the_probe_two_clients_share_a_session(servers, monkeypatch):
    """The control: in transaction mode, unrecognised, two providers hold one lock at the same time."""

    async def believe(self, connection):
        self._numbers[connection] = await connection.fetchval("SELECT pg_backend_pid()")

    monkeypatch.setattr(PostgresLockDialect, "_prepare", believe)
    monkeypatch.setattr(PostgresLockDialect, "_same_session", lambda self, connection, number: None)
    pooler = servers.pgbouncer(servers.postgres(), pool_mode="transaction", default_pool_size=1)
    url = pooler.url
    async with aio.PostgresLocks(url, connections=1) as locks, aio.PostgresLocks(url, connections=1) as others:
        assert await locks.lock("a").acquire(timeout=10)
        assert await others.lock("a").acquire(timeout=10)


async def test_a_session_that_changes_under_a_holder_is_a_loss(postgres_url, request):
    """Another session answers than the one that holds the lock: the holder learns it at the next sign of life."""
    numbers = {}

    def other_session(data):
        for number, other in numbers.items():
            data = data.replace(number, other)
        return data

    async with TcpProxy(urlsplit(postgres_url).port, edit=other_session) as pooler:
        url = through(postgres_url, pooler.port)
        async with aio.PostgresLocks(url, prefix=request.node.name, lease_s=0.6) as locks:
            lease = await locks.lock("a", on_lost="ignore").acquire(timeout=5)
            assert not await lease.wait_lost(0.9)
            pid = locks.backend._locks.holds[lease.token].session.number
            numbers[pid.to_bytes(4, "big")] = (pid + 1).to_bytes(4, "big")
            assert await lease.wait_lost(5)
            assert "no longer" in str(lease.lost_error())
            await lease.release()


async def test_a_session_is_clean_before_its_next_use(postgres_url, request):
    """After a release, and after a wait that ended in vain, the sessions that are kept hold nothing."""
    async with (
        aio.PostgresLocks(postgres_url, prefix=request.node.name) as locks,
        aio.PostgresLocks(postgres_url, prefix=request.node.name) as others,
    ):
        held = await locks.lock("a").acquire(timeout=5)
        assert await others.lock("a").acquire(timeout=0.05) is None
        assert await others.lock("a").try_acquire() is None
        await (await others.lock("b").acquire(timeout=5)).release()
        await held.release()
        count = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"

        async def ask(connection):
            return await connection.fetchval(count)

        for provider in (locks, others):
            assert provider.backend._locks.pool.sessions
            for session in provider.backend._locks.pool.sessions:
                assert await session.start(ask, 5.0) == 0
