"""The lock strategies under FENCE, also when the lock server has lost its counter; the quorum of `redlock`."""

import asyncio

import pytest
from redis import Redis
from sqlalchemy import select

from stockade.core import Accepted, Backoff, Busy, FenceRefused, Rejected
from stockade.locks import RedisLocks
from stockade.service.ids import derived_id
from stockade.shop.bootstrap import open_shop
from stockade.shop.commands.charge_points import ChargePoints
from stockade.shop.config.settings import Settings
from stockade.shop.migrations import SCHEMA
from stockade.shop.model.tables import skus
from stockade.strategies import registry
from stockade.strategies.options import Options
from tests.contract.conftest import NOW_MS, Bench

NAMES = ["redis-spin", "redis-pubsub", "redlock"]
pytestmark = pytest.mark.redis


@pytest.fixture(params=NAMES)
async def fenced(request, database, fresh_redis):
    """Function: options -> a started strategy under FENCE with 20 units of `s`; each strategy in turn."""
    made = []

    async def start(**options):
        urls = fresh_redis(registry.find(request.param).servers)
        bench = Bench(request.param, database, Options(**{"wait_s": 20, "fence": True, "redis": urls, **options}))
        made.append(bench)
        if len(made) == 1:
            await bench.product("s", stock=20)
        await bench.strategy.start()
        return bench

    yield start
    for bench in made:
        await bench.strategy.stop()


AHEAD = 4 * 10**15  # the microseconds of a clock that is ahead: of the server that is lost


async def _fence(bench):
    return await bench.database.read(lambda c: c.execute(select(skus.c.fence).where(skus.c.id == "s")).scalar_one())


def _set_counters(bench, value):
    """What a failover to a replica that lags behind, or a restored server, leaves."""
    for url in bench.strategy.options.redis:
        with Redis.from_url(url) as server:
            server.set("stockade:{stockade:stock:s}:f", value)


async def test_reference_20_of_30(fenced):
    """The reference test under tokens alone: each token is above the one before, and nobody is refused."""
    bench = await fenced(
        lease_s=20.0
    )  # one of 1 s ends where a busy machine lets the holder wait: rightly refused then
    answers = await asyncio.gather(*(bench.strategy.execute(bench.order(n, user=f"u{n}")) for n in range(30)))
    assert sum(isinstance(answer, Accepted) for answer in answers) == 20
    assert {answer.code for answer in answers if isinstance(answer, Rejected)} == {"OUT_OF_STOCK"}
    assert bench.strategy.refused == 0


@pytest.mark.parametrize("short", [1, 1_000], ids=["equal token of another owner", "lower tokens"])
async def test_a_lost_counter_is_raised_above_what_the_row_has_seen(fenced, short):
    """The row refuses the first token after the loss; the server raises its counter, the same order is carried out."""
    bench = await fenced()
    _set_counters(bench, AHEAD)
    assert isinstance(await bench.strategy.execute(bench.order(1)), Accepted)
    seen = await _fence(bench)
    _set_counters(bench, seen - short)
    assert isinstance(await bench.strategy.execute(bench.order(2)), Accepted)
    assert bench.strategy.refused == 1
    assert await _fence(bench) > seen


async def test_without_raising_it_nobody_gets_through(fenced):
    """The control: with no retry the counter stays where it is, and order after order is refused, nothing happening."""
    bench = await fenced(backoff=Backoff(retries=0))
    _set_counters(bench, AHEAD)
    assert isinstance(await bench.strategy.execute(bench.order(1)), Accepted)
    seen = await _fence(bench)
    _set_counters(bench, seen - 1_000)
    for _ in range(2):
        with pytest.raises(FenceRefused) as refused:
            await bench.strategy.execute(bench.order(2))
        assert (refused.value.key, refused.value.fence, refused.value.outcome) == ("stock:s", seen, "none")


@pytest.mark.parametrize(("guard", "kind"), [("version", "VERSION"), ("fence", "FENCE"), ("none", "NONE")])
async def test_the_settings_reach_the_strategy(redis_url, guard, kind):
    """What `serve --strategy redis-pubsub --set redis=… --set lock_guard=…` opens locks there, under that guard."""
    lock = {"redis": redis_url, "lease_s": 7.0, "lock_guard": guard, "allow_overselling": "yes"}
    settings = Settings(database="sqlite://", strategy_stock="redis-pubsub", strategy_points="redis-pubsub", **lock)
    held_ms = []

    def look(point):
        if point == "saved":
            with Redis.from_url(redis_url) as server:
                held_ms.append(server.pttl("stockade:points:u1"))

    async with open_shop(settings, jobs=False, before=SCHEMA.create_all, checkpoint=look) as shop:
        assert shop.strategies["points"].guard.kind.name == kind
        assert (await shop.execute(ChargePoints(derived_id("charge", 1), "f", NOW_MS, "u1", 100))).accepted
    assert 5_000 < held_ms[-1] <= 7_000


@pytest.fixture
def quorum(database, servers):
    """Three servers of this test, and a strategy over them."""
    masters = [servers.redis() for _ in range(3)]
    return masters, Bench("redlock", database, Options(wait_s=1, redis=tuple(each.url for each in masters)))


async def test_redlock_survives_a_minority_and_says_when_it_cannot(quorum):
    """One of three servers away: sold. Two away: DEPENDENCY_DOWN, nothing sold, nothing guessed."""
    masters, bench = quorum
    await bench.product("s", stock=20)
    await bench.strategy.start()
    masters[0].kill()
    assert isinstance(await bench.strategy.execute(bench.order(1)), Accepted)
    masters[1].kill()
    with pytest.raises(Busy) as caught:
        await bench.strategy.execute(bench.order(2))
    assert caught.value.code == "DEPENDENCY_DOWN"
    await bench.strategy.stop()


async def test_redlock_waits_for_whoever_has_the_majority(quorum):
    """A key taken on two of three servers keeps everybody out; on one of three, nobody."""
    masters, bench = quorum
    await bench.product("s", stock=20)
    await bench.strategy.start()
    others = [RedisLocks(each.url) for each in masters[:2]]
    held = [locks.lock("stock:s").acquire(timeout=1) for locks in others]
    with pytest.raises(Busy):
        await bench.strategy.execute(bench.order(1))
    held[0].release()
    assert isinstance(await bench.strategy.execute(bench.order(1)), Accepted)
    held[1].release()
    await bench.strategy.stop()
    for locks in others:
        locks.close()


async def test_redlock_refuses_one_server(database):
    """The Java report called one server RedLock; here a quorum of one does not start."""
    with pytest.raises(ValueError, match="odd number of servers, 3 or more; got 1"):
        await Bench("redlock", database, Options()).strategy.start()
