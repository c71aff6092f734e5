"""Sessions that several users share, as behind PgBouncer: a lock may not leak to the next user of the session."""

import asyncio
import re
from urllib.parse import urlsplit

import pytest

from stockade import locks as sync
from stockade.core import NotSupported
from stockade.locks import aio
from tests.locks.relay import relay

pytestmark = pytest.mark.postgres
KEY_DATA = re.compile(rb"K\x00\x00\x00\x0c.{8}Z", re.DOTALL)


def invented_number(data: bytes) -> bytes:
    """What a pooler tells its client instead of the number and the key of a server's session."""
    return KEY_DATA.sub(b"K\x00\x00\x00\x0c" + b"\x7f" * 4 + b"\x01" * 4 + b"Z", data)


def through(url: str, port: int) -> str:
    """The same database through another port, without TLS."""
    parts = urlsplit(url)
    user = f"{parts.username or ''}{':' + parts.password if parts.password else ''}"
    return parts._replace(netloc=f"{user}@127.0.0.1:{port}", query="sslmode=disable").geturl()


def take_once(url, prefix):
    """Take a lock in a thread."""
    with sync.PostgresLocks(url, prefix=prefix) as locks, locks.lock("a").hold(timeout=5):
        pass


async def take_once_async(url, prefix):
    """The same in a task."""
    async with aio.PostgresLocks(url, prefix=prefix) as locks, locks.lock("a").hold(timeout=5):
        pass


@pytest.mark.parametrize("face", ["aio", "sync"])
async def test_a_pooler_is_refused(postgres_url, request, face):
    """Sessions with an invented number are a pooler's: refused when a lock is taken, with the reason."""
    async with relay(urlsplit(postgres_url).port, invented_number) as pooler:
        args = (through(postgres_url, pooler.port), request.node.name)
        call = take_once_async(*args) if face == "aio" else asyncio.to_thread(take_once, *args)
        with pytest.raises(NotSupported, match="pooler"):
            await call


async def test_a_way_that_is_no_pooler_is_not_refused(postgres_url, request):
    """The control: the same way to the server, each connection with a session of its own."""
    async with relay(urlsplit(postgres_url).port) as way:
        await take_once_async(through(postgres_url, way.port), request.node.name)
        assert way.passed > 0


async def test_a_session_that_changes_under_a_holder_is_a_loss(postgres_url, request):
    """Another session answers than the one that holds the lock: the holder is told at the next sign of life."""
    numbers = {}

    def other_session(data):
        for number, other in numbers.items():
            data = data.replace(number, other)
        return data

    async with relay(urlsplit(postgres_url).port, other_session) as pooler:
        url = through(postgres_url, pooler.port)
        async with aio.PostgresLocks(url, prefix=request.node.name, lease_s=0.6) as locks:
            lease = await locks.lock("a", on_lost="ignore").acquire(timeout=5)
            assert not await lease.wait_lost(0.9)
            pid = locks.backend._held[lease.token].get_server_pid()
            numbers[pid.to_bytes(4, "big")] = (pid + 1).to_bytes(4, "big")
            assert await lease.wait_lost(5)
            assert "no longer" in str(lease.lost_error())
            await lease.release()


async def test_a_session_is_clean_before_its_next_use(postgres_url, request):
    """After a release, and after a wait that ended in vain, the session that is kept for the next lock holds none."""
    async with (
        aio.PostgresLocks(postgres_url, prefix=request.node.name) as locks,
        aio.PostgresLocks(postgres_url, prefix=request.node.name) as others,
    ):
        held = await locks.lock("a").acquire(timeout=5)
        assert await others.lock("a").acquire(timeout=0.05) is None
        assert await others.lock("a").try_acquire() is None
        await (await others.lock("b").acquire(timeout=5)).release()
        await held.release()
        for provider in (locks, others):
            assert provider.backend._idle
            for connection in provider.backend._idle:
                count = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
                assert await connection.fetchval(count) == 0
