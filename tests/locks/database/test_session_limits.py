"""Limits that a server or a role sets by itself: short statements, short idle times. Neighbour: `test_sessions.py`."""

import asyncio
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncmy
import asyncpg
import pytest

from stockade.locks import aio
from tests.waiting import eventually_async

IDLE_S = 1  # the shortest `wait_timeout` of MariaDB
_POSTGRES = ("statement_timeout = '300ms'", f"idle_session_timeout = '{IDLE_S}s'", "lock_timeout = '100ms'")
_MARIADB = ("max_statement_time = 0.3", f"wait_timeout = {IDLE_S}", f"interactive_timeout = {IDLE_S}")


class Postgres:
    """A role with limits, and plain sessions of it."""

    def __init__(self, url):
        self.url = url.replace(url.split("://")[1].split("@")[0], "limited")
        self._admin = url
        self.make = aio.PostgresLocks

    async def limit(self):
        admin = await asyncpg.connect(self._admin)
        await admin.execute("CREATE ROLE limited LOGIN")
        for limit in _POSTGRES:
            await admin.execute(f"ALTER ROLE limited SET {limit}")
        await admin.close()

    @asynccontextmanager
    async def plain(self):
        connection = await asyncpg.connect(self.url)
        with pytest.raises(asyncpg.QueryCanceledError):
            await connection.execute("SELECT pg_sleep(30)")
        try:
            yield connection.is_closed
        finally:
            connection.terminate()


class MariaDB:
    """A server with limits, and plain sessions."""

    def __init__(self, url):
        self.url, self._port = url, urlsplit(url).port
        self.make = aio.MySQLLocks

    async def limit(self):
        async with self._connected() as connection, connection.cursor() as cursor:
            for limit in _MARIADB:
                await cursor.execute(f"SET GLOBAL {limit}")

    @asynccontextmanager
    async def _connected(self):
        connection = await asyncmy.connect(host="127.0.0.1", port=self._port, user="stockade", db="stockade")
        try:
            yield connection
        finally:
            connection.close()

    @asynccontextmanager
    async def plain(self):
        async with self._connected() as connection:
            async with connection.cursor() as cursor:
                with pytest.raises(asyncmy.errors.MySQLError):
                    await cursor.execute("SELECT SLEEP(30)")
            yield lambda: connection._stream_broken


@pytest.mark.parametrize(
    "kind",
    [pytest.param("postgres", marks=pytest.mark.postgres), pytest.param("mariadb", marks=pytest.mark.mariadb)],
)
async def test_limits_of_the_server_end_no_wait_and_no_lock(servers, kind):
    """A lock that is held, and a wait, outlast what ends a plain session of the same role, which is the control."""
    server = Postgres(servers.postgres().url) if kind == "postgres" else MariaDB(servers.mariadb().url)
    await server.limit()
    async with server.make(server.url) as holding, server.make(server.url) as waiting:
        lease = await holding.lock("a", on_lost="ignore").acquire(timeout=10)
        waiter = asyncio.create_task(waiting.lock("a").acquire(timeout=30))
        async with server.plain() as ended:

            async def cut_by_the_server(ended=ended):
                return ended()

            await eventually_async(cut_by_the_server, 20)
        await lease.extend(30)
        assert not waiter.done()
        await lease.release()
        await (await waiter).release()
