"""Defects of the systems before this one that concern the strategies, each with what would show it."""

import asyncio
import time
from dataclasses import replace

import pytest
import sqlalchemy.exc
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.util import await_only

from stockade.core import Accepted, Backoff, Busy, Guard, LockLost, Rejected
from stockade.locks import RedisLocks
from stockade.locks.aio import RedisLocks as AioRedisLocks
from stockade.shop.migrations import SCHEMA
from stockade.shop.model.tables import orders, skus
from stockade.store import Database
from stockade.strategies.options import Options
from tests.contract.conftest import Bench
from tests.databases import CREATED
from tests.waiting import eventually, eventually_async

BUSY_WAIT_S = 0.3


async def _stock_and_orders(bench):
    def body(connection):
        left = connection.execute(select(skus.c.on_hand - skus.c.reserved).where(skus.c.id == "s")).scalar_one()
        return int(left), connection.execute(select(func.count()).select_from(orders)).scalar_one()

    return await bench.database.read(body)


@pytest.mark.redis
@pytest.mark.parametrize("name", ["redis-spin", "redis-pubsub"])
async def test_a_lock_that_does_not_come_ends_the_order(name, database, fresh_redis):
    """One went on without deducting when the lock timed out, one waited for ever: here it is Busy, in time, and nothing
    happened."""
    (url,) = fresh_redis()
    bench = Bench(name, database, Options(wait_s=BUSY_WAIT_S, redis=(url,)))
    await bench.product("s", stock=20)
    await bench.strategy.start()
    async with AioRedisLocks(url) as others, others.lock("stock:s").hold():
        start = time.monotonic()
        with pytest.raises(Busy) as caught:
            await bench.strategy.execute(bench.order(1))
        waited_s = time.monotonic() - start
    assert caught.value.code == "LOCK_TIMEOUT"
    assert BUSY_WAIT_S - 0.05 <= waited_s < BUSY_WAIT_S + 1
    assert await _stock_and_orders(bench) == (20, 0)
    assert isinstance(await bench.strategy.execute(bench.order(1)), Accepted)
    await bench.strategy.stop()


@pytest.mark.redis
@pytest.mark.parametrize("bare", [False, True], ids=["guarded", "bare"])
async def test_work_that_outlives_its_lease(bare, database, fresh_redis):
    """A holder pauses past its lease and a second one sells meanwhile: the guard decides again, the bare form loses the
    second one's update and says so only afterwards."""
    if database.dialect.name == "sqlite":
        pytest.skip("one writer at a time: a paused transaction would hold the database itself")
    options = Options(wait_s=10, redis=fresh_redis(), lease_s=0.2, renew=False, bare=bare, backoff=Backoff(50))
    slow, quick = (
        Bench("redis-pubsub", database, options),
        Bench("redis-pubsub", database, replace(options, bare=False)),
    )
    await slow.product("s", stock=20)
    loaded, go_on = asyncio.Event(), asyncio.Event()

    def pause(point):
        if point == "loaded" and not loaded.is_set():
            loaded.set()
            await_only(go_on.wait())

    slow.store._steps.checkpoint = pause
    for bench in (slow, quick):
        await bench.strategy.start()
    first = asyncio.create_task(slow.strategy.execute(slow.order(1, user="u1")))
    await loaded.wait()
    assert isinstance(await quick.strategy.execute(quick.order(2, user="u2")), Accepted)  # waits for the lease to end
    go_on.set()
    if bare:
        with pytest.raises(LockLost):
            await first
        assert await _stock_and_orders(slow) == (19, 2), "two orders, one unit gone: the update of the second is lost"
    else:
        assert isinstance(await first, Accepted)
        assert await _stock_and_orders(slow) == (18, 2)
        assert slow.store.stats.conflicts == 1
    for bench in (slow, quick):
        await bench.strategy.stop()


@pytest.mark.redis
async def test_an_expired_holder_does_not_free_the_next_ones_lock(redis_url):
    """The fixed value and plain DEL of both systems: after the TTL they freed somebody else's lock."""
    with RedisLocks(redis_url) as first, RedisLocks(redis_url) as second:
        late = first.lock("s", lease_s=0.05, renew=False, on_lost="raise").acquire()
        now_mine = eventually(lambda: second.lock("s").acquire(timeout=0))
        with pytest.raises(LockLost):
            late.release()
        assert second.inspect("s").holders
        assert first.lock("s").acquire(timeout=0) is None
        now_mine.release()


@pytest.mark.redis
async def test_a_lock_lost_after_the_commit_is_not_a_failed_order(database, fresh_redis):
    """The lease is gone when the lock is given back, after the commit: the caller gets the order."""
    (url,) = fresh_redis()
    bench = Bench("redis-pubsub", database, Options(redis=(url,)))
    await bench.product("s", stock=20)
    await bench.strategy.start()
    with RedisLocks(url) as admin:
        bench.store._steps.checkpoint = lambda point: admin.break_("stock:s") if point == "saved" else None
        answer = await bench.strategy.execute(bench.order(1))
    assert isinstance(answer, Accepted)
    assert bench.strategy.lost == 1
    assert await _stock_and_orders(bench) == (19, 1)
    await bench.strategy.stop()


async def test_the_optimistic_arm_really_writes_and_really_conflicts(database):
    """A benchmark whose optimistic arm only read showed it as the fastest: here every order writes a version, and some
    had to decide again."""
    bench = Bench("optimistic", database, Options(wait_s=20, backoff=Backoff(1000)))
    await bench.product("s", stock=1000)
    for number in range(10):
        batch = [bench.strategy.execute(bench.order((number, n), user=f"u{n}")) for n in range(20)]
        assert all(isinstance(answer, Accepted) for answer in await asyncio.gather(*batch))
        if bench.store.stats.conflicts:
            break
    version = await database.read(lambda c: c.execute(select(skus.c.version).where(skus.c.id == "s")).scalar_one())
    left, count = await _stock_and_orders(bench)
    assert version == 1 + count
    assert left == 1000 - count
    assert bench.store.stats.conflicts > 0


@pytest.mark.parametrize("guard", [Guard.ROW, Guard.ADVISORY, Guard.VERSION, Guard.DELTA], ids=lambda g: g.kind.value)
async def test_the_row_is_read_after_the_lock_is_held(guard, database):
    """500 of 500 were accepted because the row came from a session opened before the lock: here the last unit goes to
    the holder, and the next transaction on the row sees it gone."""
    if database.dialect.name == "sqlite":
        pytest.skip("no row lock to wait for")
    bench = Bench("pessimistic", database, Options())
    await bench.product("s", stock=1)
    async with database._backend._write.connect() as holder:
        await holder.execute(text("SELECT on_hand FROM skus WHERE id = 's' FOR UPDATE"))
        waiting = asyncio.create_task(bench.store.transact([bench.order(1)], guard, deadline=time.monotonic() + 10))
        if guard in (Guard.ROW, Guard.VERSION, Guard.DELTA):
            await eventually_async(lambda: _somebody_waits(database), 5)
        await holder.execute(text("UPDATE skus SET on_hand = 0, version = version + 1 WHERE id = 's'"))
        await holder.commit()
    (answer,) = await waiting
    if guard is Guard.ROW:
        assert isinstance(answer, Rejected), "it decided on the row as it was before the lock was granted"
        assert answer.code == "OUT_OF_STOCK"
    assert not isinstance(answer, Accepted)
    assert await _stock_and_orders(bench) == (0, 0)


async def _somebody_waits(database):
    """Whether a session of the server waits for a row lock."""
    postgres = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    # not innodb_trx: what it shows is renewed only when nobody has looked for 0.1 s
    maria = (
        "SELECT variable_value + 0 FROM information_schema.global_status"
        " WHERE variable_name = 'INNODB_ROW_LOCK_CURRENT_WAITS'"
    )
    query = postgres if database.dialect.name == "postgres" else maria
    return await database.read(lambda c: c.execute(text(query)).scalar_one())


POOL_SIZE, CALLERS = 2, 8


@pytest.mark.redis
@pytest.mark.parametrize("name", ["pessimistic", "advisory", "redis-pubsub"])
async def test_a_command_needs_one_connection(name, postgres_database, fresh_redis):
    """Callers that held a connection each asked for a second one, and nobody got it. Here a pool of two serves eight
    orders of one row: a lock is taken before the connection, and a command uses one."""
    await CREATED.migrate(postgres_database, SCHEMA)
    database = await Database.open(postgres_database, pool_size=POOL_SIZE)
    bench = Bench(name, database, Options(wait_s=10, redis=fresh_redis()))
    await bench.product("s", stock=CALLERS)
    await bench.strategy.start()
    answers = await asyncio.gather(*(bench.strategy.execute(bench.order(n, user=f"u{n}")) for n in range(CALLERS)))
    assert all(isinstance(answer, Accepted) for answer in answers), answers
    assert await _stock_and_orders(bench) == (0, CALLERS)
    await bench.strategy.stop()
    await database.close()


@pytest.mark.postgres
async def test_the_control_that_needs_a_second_connection_serves_nobody(postgres_database):
    """A caller that asks for another connection while it holds one: as many callers as connections stop each other."""
    url = postgres_database.replace("postgresql://", "postgresql+asyncpg://")
    engine = create_async_engine(url, pool_size=POOL_SIZE, max_overflow=0, pool_timeout=0.3)
    everybody = asyncio.Barrier(POOL_SIZE)

    async def order():
        async with engine.connect():
            await everybody.wait()
            async with engine.connect():
                return True

    answers = await asyncio.gather(*(order() for _ in range(POOL_SIZE)), return_exceptions=True)
    await engine.dispose()
    assert True not in answers
    assert {type(answer) for answer in answers} == {sqlalchemy.exc.TimeoutError}
