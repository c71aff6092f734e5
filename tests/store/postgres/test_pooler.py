"""Behind PgBouncer: found by itself in each of its modes, and orders under load are as right as without it."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy import func, select

from stockade.core import Busy, Guard, GuardKind
from stockade.service.purge import BEGINNING, purge_requests
from stockade.shop.audit import LongAudit
from stockade.shop.migrations import SCHEMA
from stockade.shop.model.tables import skus
from stockade.shop.queries import due
from stockade.store import Database
from stockade.store.engine.database import OVERRUN_S
from stockade.store.postgres.dialect import PooledPostgresDialect
from stockade.store.schema import steps
from stockade.store.schema.tables import requests
from tests.cli.service import Service, prepared
from tests.store.commands import Take, rid
from tests.store.conftest import held, opened, soon, stocked
from tests.waiting import eventually_async

pytestmark = [pytest.mark.postgres, pytest.mark.pgbouncer]
SETTINGS = "jit,lock_timeout,statement_timeout,default_transaction_isolation,enable_seqscan,enable_hashjoin"
IGNORING = {"ignore_startup_parameters": f"{SETTINGS},enable_mergejoin,plan_cache_mode"}
MODES = {
    "transaction": {},
    "transaction, settings ignored": IGNORING,
    "transaction, each session in turn": {"server_round_robin": 1, "default_pool_size": 3},
    "session": {"pool_mode": "session"},
    "session, settings ignored": {"pool_mode": "session", **IGNORING},
}
CALLERS, EACH = 16, 6


async def load(store, guard):
    """The answers to this many orders, one after the other by each of the callers."""

    async def caller(number):
        orders = [Take(rid(guard.kind, number, n)) for n in range(EACH)]
        return [(await store.transact([order], guard, deadline=soon(20)))[0] for order in orders]

    return [answer for some in await asyncio.gather(*map(caller, range(CALLERS))) for answer in some]


def figures(connection):
    """(units left, orders recorded)."""
    left = connection.execute(select(skus.c.on_hand)).scalar_one()
    return left, connection.execute(select(func.count()).select_from(requests)).scalar_one()


@pytest.mark.parametrize("mode", MODES)
async def test_orders_under_load(mode, servers):
    """All callers order one product at once under each pessimistic guard: nothing is lost and nothing is sold twice."""
    server = servers.postgres()
    pooler = servers.pgbouncer(server, **MODES[mode])
    n = CALLERS * EACH
    async with opened(pooler.url) as database:
        assert isinstance(database.dialect, PooledPostgresDialect)
        store = await stocked(database, "s", n=2 * n)
        for guard in (Guard.ROW, replace(Guard.ROW, kind=GuardKind.ADVISORY)):
            answers = await load(store, guard)
            assert [each for each in answers if not getattr(each, "accepted", False)] == []
        assert await database.read(figures) == (0, 2 * n + 2)
        await database.check_writable()


async def test_taken_for_a_server_it_fails(servers, monkeypatch):
    """The control: treated like the server itself, a pooler in transaction mode gives a transaction the statements
    that another one has prepared, or none."""
    server = servers.postgres()
    pooler = servers.pgbouncer(server, **IGNORING, server_round_robin=1, default_pool_size=3)

    async def never(address, settings):
        return False

    async def broken():
        async with opened(server.url), _open(pooler.url) as database:
            calls = [database.transaction(select_one, deadline=soon()) for _ in range(CALLERS * EACH)]
            return [each for each in await asyncio.gather(*calls, return_exceptions=True) if each != 1]

    assert await broken() == []
    monkeypatch.setattr("stockade.store.postgres.connect.behind_pooler", never)
    assert any("prepared statement" in str(each) for each in await broken())


@asynccontextmanager
async def _open(url):
    database = await Database.open(url)
    try:
        yield database
    finally:
        await database.close()


def select_one(connection):
    return connection.exec_driver_sql("SELECT 1").scalar_one()


async def test_waits_are_bounded_behind_it(servers):
    """The bounds of a transaction are set in it: an order that waits for a row ends at its deadline."""
    pooler = servers.pgbouncer(servers.postgres())
    async with opened(pooler.url) as database, opened(pooler.url) as other:
        store = await stocked(database, "s")
        async with held(other, "SELECT id FROM skus FOR UPDATE"):
            (answer,) = await asyncio.wait_for(
                store.transact([Take(rid("late"))], Guard.ROW, deadline=soon(0.5)), 0.5 + OVERRUN_S + 1
            )
        assert isinstance(answer, Busy)


KEPT = ("enable_sort", "enable_bitmapscan", "statement_timeout", "work_mem", "max_parallel_workers_per_gather")


def kept(connection):
    """Settings that jobs and audits change for themselves, as another client finds them in the session."""
    return tuple(connection.exec_driver_sql(f"SELECT current_setting('{name}')").scalar_one() for name in KEPT)


async def test_settings_of_one_client_reach_no_other(servers):
    """The jobs and the audit set something while they work: the next client of the server's one session sees none."""
    server = servers.postgres()
    pooler = servers.pgbouncer(server, default_pool_size=1)
    async with opened(pooler.url) as database, opened(pooler.url) as other:
        before = await other.transaction(kept, deadline=soon(30))
        body = partial(purge_requests, before_ms=2**42, cursor=BEGINNING, limit=10)
        for work in (
            database.read(partial(due, now_ms=2**42)),
            database.transaction(body, deadline=soon(30)),
            LongAudit(database.read, pace=0.99).run(),
            LongAudit(database.read).run(),
        ):
            await work
            assert await other.transaction(kept, deadline=soon(30)) == before
        # the control: what belongs to the session is there for everybody
        await database.read(lambda conn: conn.exec_driver_sql("SELECT set_config('enable_sort', 'off', false)").all())
        assert await other.transaction(kept, deadline=soon(30)) == before  # rolled back with the read
        await database.transaction(
            lambda conn: conn.exec_driver_sql("SELECT set_config('enable_sort', 'off', false)").all(), deadline=soon(30)
        )
        assert await other.transaction(kept, deadline=soon(30)) != before


async def test_an_upgrade_through_it(servers, postgres_database, monkeypatch):
    """A schema of before is upgraded in one transaction, without CREATE INDEX CONCURRENTLY; directly, in steps."""
    asked, are_steps = [], steps.are_steps
    monkeypatch.setattr(steps, "are_steps", lambda connection: asked.append(are_steps(connection)) or asked[-1])
    for url, in_steps in ((servers.pgbouncer(servers.postgres()).url, {False}), (postgres_database, {True})):
        database = await Database.open(url)
        try:
            await SCHEMA.migrate(database, "0004")
            asked.clear()
            await SCHEMA.migrate(database)
            assert await SCHEMA.is_current(database)
        finally:
            await database.close()
        assert set(asked) == in_steps


async def test_statement_mode_is_refused(servers):
    """PgBouncer in statement mode allows no transaction: opening says so."""
    pooler = servers.pgbouncer(servers.postgres(), pool_mode="statement")
    with pytest.raises(Exception, match="pooling mode"):
        await Database.open(pooler.url)


async def test_a_pooler_without_its_server(servers):
    """The server behind the pooler is away: one error, which says that it is the database."""
    server = servers.postgres()
    pooler = servers.pgbouncer(server, query_wait_timeout=1, server_login_retry=1)
    async with opened(pooler.url) as database:
        await asyncio.to_thread(server.stop)
        assert await unusable(database) == "DEPENDENCY_DOWN"
        await asyncio.to_thread(server.start)
        await eventually_async(lambda: usable(database))


async def unusable(database):
    """The code of the error that a read meets, or None."""
    try:
        await database.read(select_one, timeout_s=1)
    except Busy as busy:
        return busy.code
    return None


async def usable(database):
    return await unusable(database) is None


async def test_a_service_behind_it(servers, tmp_path):
    """`serve` answers every reader, and is ready."""
    server = servers.postgres()
    await prepared(server.url, users=2, products=3, stock=10, points=1000)
    with Service(tmp_path, database=servers.pgbouncer(server).url) as service:
        async with service.client("user-1") as client:
            answers = await asyncio.gather(*(client.get("/v1/products") for _ in range(60)))
            assert {each.status_code for each in answers} == {200}
            assert (await client.get("/readyz")).status_code == 200
        assert service.stop() == 0
