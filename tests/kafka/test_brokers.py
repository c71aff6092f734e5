"""Brokers killed and restarted: what was accepted is decided once, and the audit is clean."""

import asyncio

import pytest

from stockade.core import Busy, Pending, Unknown
from tests.kafka.harness import accepted, rigged
from tests.waiting import eventually_async


async def until_told(rig, strategy, commands, limit_s=60):
    """Send each again until it has an outcome, as a client does that keeps its key."""
    open_ = list(commands)
    async with asyncio.timeout(limit_s):
        while open_:
            answers = await rig.place(strategy, open_)
            unexpected = [
                a for a in answers if isinstance(a, Exception) and not isinstance(a, Busy | Pending | Unknown)
            ]
            assert not unexpected
            open_ = [command for command, a in zip(open_, answers, strict=True) if isinstance(a, Exception)]


@pytest.mark.kafka
@pytest.mark.timeout(120)
async def test_a_broker_killed_and_restarted(servers, postgres_database):
    """The only broker is killed under load and comes back: callers learn Unknown or Pending, then one outcome each."""
    cluster = await asyncio.to_thread(servers.kafka)
    (broker,) = cluster.brokers
    async with rigged(postgres_database, cluster.url) as rig:
        await rig.product("s", stock=1000)
        first, second = [rig.order() for _ in range(50)], [rig.order() for _ in range(50)]
        async with rig.worker() as worker, rig.strategy(wait_s=2.0) as strategy:
            await until_told(rig, strategy, first)
            await asyncio.to_thread(broker.kill)
            answers = await rig.place(strategy, second)
            assert all(isinstance(answer, Unknown) for answer in answers), "nobody confirmed anything"
            await asyncio.to_thread(broker.start)
            await until_told(rig, strategy, second)
            assert worker.stats.dead == 0
        assert await rig.check([*first, *second]) == 100


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_one_of_three_brokers_killed(servers, postgres_database):
    """Three brokers, min.insync.replicas 2, one killed under load: nothing acknowledged is lost, orders go on."""
    cluster = await asyncio.to_thread(servers.kafka, 3, 256)
    async with rigged(postgres_database, cluster.url) as rig:
        await rig.product("s", "a", "b", stock=1000)
        before, during = [[rig.order(name) for name in ("s", "a", "b") for _ in range(20)] for _ in range(2)]
        async with rig.worker(), rig.strategy(wait_s=5.0) as strategy:
            await until_told(rig, strategy, before)
            loading = asyncio.ensure_future(until_told(rig, strategy, during))
            await asyncio.to_thread(cluster.brokers[0].kill)
            await loading
            late = [rig.order() for _ in range(10)]
            await until_told(rig, strategy, late)
            assert accepted(list(rig.answers.values())) == 130
        await eventually_async(lambda: rig.decided([*before, *during, *late]))
        assert await rig.check([*before, *during, *late]) == 130
