"""Connections that broke while they were idle, servers that stop answering, a failover behind one address: what a
caller meets of it, and how long."""

import asyncio
import time

import asyncmy
import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.util import await_only

from stockade.core import Busy, Guard
from stockade.devservers.tcp_proxy import TcpProxy
from stockade.shop.model.resources import SHOP_RESOURCES
from stockade.store import Database, SqlStore
from stockade.store.engine.database import OVERRUN_S
from stockade.store.engine.pools import END_IN_TURN_S, END_WAIT_S, Pool
from tests.store.commands import Take, rid
from tests.store.conftest import opened, soon, stocked
from tests.waiting import eventually_async

KINDS = [pytest.param("postgres", marks=pytest.mark.postgres), pytest.param("mariadb", marks=pytest.mark.mariadb)]
SLACK_S = 1.0  # a hang takes many times as long


@pytest.fixture(params=KINDS)
def server(request, servers):
    """A server of this test's own."""
    return getattr(servers, request.param)()


async def fill(database, n=3):
    """Bring as many connections as this into both pools."""

    def body(connection):
        connection.execute(text("SELECT 1"))
        here.release()
        await_only(enough.wait())

    for way in (database.read, lambda b: database.transaction(b, deadline=soon())):
        enough, here = asyncio.Event(), asyncio.Semaphore(0)
        tasks = [asyncio.create_task(way(body)) for _ in range(n)]
        for _ in range(n):
            await here.acquire()
        enough.set()
        await asyncio.gather(*tasks)


def one(connection):
    return connection.execute(text("SELECT 1")).scalar_one()


async def test_a_restart_while_idle_is_not_seen(server):
    """A server that was restarted while nobody used it: each of the first reads and transactions after it succeeds."""
    async with opened(server.url) as database:
        await fill(database)
        await asyncio.to_thread(server.restart)
        assert [await database.read(one) for _ in range(3)] == [1, 1, 1]
        assert [await database.transaction(one, deadline=soon()) for _ in range(3)] == [1, 1, 1]


async def test_without_looking_at_them_they_are_seen(server, monkeypatch):
    """The control: with connections taken from the pools as they are, a transaction meets the restart."""
    monkeypatch.setattr(Pool, "_check", lambda self, adapted, record, proxy: None)
    monkeypatch.setattr(
        "stockade.store.postgres.dialect.PostgresDialect.before_begin", lambda self, connection, left_s: None
    )
    async with opened(server.url) as database:
        await fill(database)
        await asyncio.to_thread(server.restart)
        with pytest.raises(Exception, match=r"(?i)connection|not connected|lost|gone away"):
            await database.transaction(one, deadline=soon())


async def test_a_session_that_the_server_ends_is_not_seen(server):
    """Connections that somebody ended on the server, one in use the others idle: the next reads succeed."""
    end = {
        "postgres": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND usename = 'stockade'",
        "mariadb": "KILL USER stockade",
    }
    async with opened(server.url) as database, opened(server.url) as other:
        await fill(database)
        try:
            await other.transaction(lambda c: c.execute(text(end[server.kind])), deadline=soon())
        except Exception:  # noqa: BLE001 - MariaDB ends this session as well
            assert server.kind == "mariadb"
        assert [await database.read(one) for _ in range(4)] == [1, 1, 1, 1]
        assert [await database.transaction(one, deadline=soon()) for _ in range(4)] == [1, 1, 1, 1]


async def test_a_silent_server(server):
    """A server that hangs: reads, transactions, opening and closing end in time; when it goes on, so do they."""
    async with opened(server.url, wait_s=0.5) as database:
        await fill(database)
        await asyncio.to_thread(server.pause)
        try:
            for call in (database.read(one, timeout_s=0.5), database.transaction(one, deadline=soon(0.5))):
                began = time.monotonic()
                with pytest.raises(Busy):
                    await call
                assert time.monotonic() - began < 0.5 + OVERRUN_S + END_IN_TURN_S + SLACK_S
            began = time.monotonic()
            with pytest.raises(Busy, match=r"gave no connection within 0\.5 s") as caught:
                await Database.open(f"{server.url}?connect_timeout=0.5")
            assert time.monotonic() - began < 0.5 + SLACK_S
            assert caught.value.code == "DEPENDENCY_DOWN"
            spare = await _opened_before(server)
            began = time.monotonic()
            await spare.close()
            assert time.monotonic() - began < END_WAIT_S + SLACK_S
        finally:
            await asyncio.to_thread(server.resume)
        assert await database.read(one) == 1
        assert await database.transaction(one, deadline=soon()) == 1


async def _opened_before(server):
    """A database with connections to a server that is paused now."""
    await asyncio.to_thread(server.resume)
    database = await Database.open(server.url)
    await fill(database)
    await asyncio.to_thread(server.pause)
    return database


async def _run(server, *statements):
    """Carry out statements as the server's administrator."""
    if server.kind == "postgres":
        postgres = await asyncpg.connect(server.url)
        for statement in statements:
            await postgres.execute(statement)
        await postgres.close()
        return
    mariadb = await asyncmy.connect(host="127.0.0.1", port=server.port, user="stockade")
    async with mariadb.cursor() as cursor:
        for statement in statements:
            await cursor.execute(statement)
    await mariadb.ensure_closed()


async def take_no_writes(server):
    """From the next transaction on this server is one that takes no writes, and its connections stay."""
    if server.kind == "postgres":
        await _run(server, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
    else:
        await _run(server, "SET GLOBAL read_only = 1")


@pytest.fixture(params=KINDS)
async def pair(request, servers):
    """(URL of a proxy, the proxy, the server that it leads to, another server with the same tables and stock)."""
    old, new = (getattr(servers, request.param)() for _ in range(2))
    for each in (old, new):
        async with opened(each.url) as database:
            await stocked(database, "s", n=100)
        if each.kind == "mariadb":  # the user of the tests may write on a replica, others may not
            await _run(each, "CREATE USER shop@'%'", "GRANT ALL ON stockade.* TO shop@'%'")
    proxy = TcpProxy(old.port)
    await proxy.open()
    url = old.url.replace(str(old.port), str(proxy.port))
    yield url.replace("stockade@", "shop@") if old.kind == "mariadb" else url, proxy, old, new
    await proxy.close()


async def order(database, n, within_s=5.0):
    store = SqlStore(database, SHOP_RESOURCES)
    (answer,) = await store.transact([Take(rid("after", n))], Guard.ROW, deadline=soon(within_s))
    return answer


async def refuses(database):
    try:
        await database.check_writable()
    except Busy as busy:
        return busy.code
    return False


async def test_a_failover_behind_one_address(pair):
    """The address moves, and the old server keeps its connections and takes no writes any more: the next orders are
    taken by the new one."""
    url, proxy, old, new = pair
    database = await Database.open(url)
    await fill(database)
    await database.check_writable()
    await take_no_writes(old)
    proxy.target = new.port
    answers = [await order(database, n) for n in range(3)]
    assert [getattr(each, "accepted", each) for each in answers] == [True, True, True]
    await database.check_writable()
    await database.close()


async def test_a_failover_with_connections_kept(pair, monkeypatch):
    """The control: where a refused write does not cost the connection, no order is taken after the move."""
    monkeypatch.setattr("stockade.store.engine.backends.AsyncBackend.lost", lambda self: None)
    monkeypatch.setattr("stockade.store.engine.backends._roll_back", lambda connection, why: connection.rollback())
    url, proxy, old, new = pair
    database = await Database.open(url, pool_size=1)
    await fill(database, 1)
    await take_no_writes(old)
    proxy.target = new.port
    await eventually_async(lambda: refuses(database), 5)
    assert isinstance(await order(database, 0, 1.0), Busy)
    await database.close()


async def test_a_server_that_takes_no_writes(pair):
    """With nowhere else to go an order is Busy, not unknown, and `check_writable` says what reads do not show."""
    url, _, old, _ = pair
    database = await Database.open(url)
    await take_no_writes(old)
    assert await eventually_async(lambda: refuses(database), 5) == "DEPENDENCY_DOWN"
    answer = await order(database, 0, 1.0)
    assert (type(answer), answer.code) == (Busy, "DEPENDENCY_DOWN")
    assert await database.read(one) == 1
    await database.close()
