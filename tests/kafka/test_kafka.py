"""The strategy on a real Kafka: what it promises while nothing fails."""

import asyncio
from collections import Counter

import pytest

from stockade.core import Accepted, Busy, IdempotencyKeyReused, NotSupported, Pending, Rejected
from stockade.kafka import replies
from stockade.service.ids import derived_id
from stockade.shop.commands import CancelOrder
from stockade.strategies.kafka import Kafka
from tests.kafka.harness import NOW_MS, accepted, rigged
from tests.store.stock_events import levels
from tests.waiting import eventually_async


@pytest.fixture
async def rig(shop_url, kafka_bootstrap):
    """A shop over a fresh topic."""
    async with rigged(shop_url, kafka_bootstrap) as found:
        yield found


async def test_reference_20_of_30(rig):
    """20 units and 30 orders at once: 20 are accepted, 10 are OUT_OF_STOCK; every outcome is awaited. A refusal is an
    outcome like any other: no message is delivered a second time for it."""
    await rig.product("s", stock=20)
    commands = [rig.order() for _ in range(30)]
    async with rig.worker() as worker, rig.strategy() as strategy:
        answers = await rig.place(strategy, commands)
        again = await rig.place(strategy, commands)
    assert (worker.stats.decided, worker.stats.dead) == (60, 0)
    assert accepted(answers) == 20
    assert Counter(a.code for a in answers if isinstance(a, Rejected)) == {"OUT_OF_STOCK": 10}
    assert [a.data for a in again] == [a.data for a in answers]
    assert all(a.replayed for a in again)
    assert await rig.check(commands) == 20
    assert await rig.left() == 0


async def test_orders_of_several_lines_are_decided_as_a_whole(rig):
    """Baskets in opposite orders, over partitions, paid with points: all or nothing, no deadlock, one decision each."""
    await rig.product("a", "b", "c", stock=30)
    async with rig.worker() as worker, rig.strategy() as strategy:
        await rig.place(strategy, [rig.charge(n, amount=20_000, user=f"u{n}") for n in range(10)])
        commands = [
            rig.order(*(("a", "b", "c") if n % 2 else ("c", "b")), user=f"u{n % 10}", pay="POINTS", number=n)
            for n in range(40)
        ]
        answers = await rig.place(strategy, commands)
    codes = Counter(a.code for a in answers if isinstance(a, Rejected))
    assert accepted(answers) == 30, codes
    assert codes == {"OUT_OF_STOCK": 10}
    assert await rig.check(commands) == 30
    with_a = sum(len(each.lines) == 3 and answer.accepted for each, answer in zip(commands, answers, strict=True))
    assert [await rig.left(sku) for sku in "abc"] == [30 - with_a, 0, 0]
    assert rig.store.stats.deadlocks == 0
    assert worker.stats.dead == 0


async def test_the_request_id_decides_what_is_the_same(rig):
    """One intent three times is one charge, three intents are three; other content under a known id is refused."""
    await rig.product("s")
    async with rig.worker(), rig.strategy() as strategy:
        same = await rig.place(strategy, [rig.charge("same")] * 3)
        three = await rig.place(strategy, [rig.charge(n, user="u2") for n in range(3)])
        assert {a.data["balance"] for a in same} == {100}
        assert sorted(a.data["balance"] for a in three) == [100, 200, 300]
        order = rig.order()
        (made,) = await rig.place(strategy, [order])
        with pytest.raises(IdempotencyKeyReused):
            await strategy.execute(CancelOrder(order.request_id, "x", NOW_MS, "o", "u1", "other"))
        cancels = [CancelOrder(derived_id("c", n), "f", NOW_MS, made.data["order_id"], None, "") for n in range(5)]
        answers = await asyncio.gather(*(strategy.execute(each) for each in cancels))
    assert accepted(answers) == 1
    assert await rig.left() == 20


async def test_a_new_group_starts_at_the_first_message(rig):
    """Commands that came before any worker existed are all decided."""
    await rig.product("s", stock=20)
    commands = [rig.order() for _ in range(30)]
    async with rig.strategy(wait_s=2.0) as strategy:
        answers = await rig.place(strategy, commands)
        assert all(isinstance(answer, Pending) for answer in answers), answers
        assert {answer.request_id for answer in answers} == {command.request_id for command in commands}
        async with rig.worker():
            await eventually_async(lambda: rig.decided(commands))
        assert await rig.count() == 20
    assert await rig.check(commands) == 20
    events = (await rig.database.read(levels))["s"]
    assert events[-1].version == 1 + 20
    assert len(events) < 1 + 20, "a batch makes one event for each SKU"


async def test_who_does_not_wait_is_accepted_at_once(rig):
    """`submit` returns when the topic has the command; the same request id, sent again, gets the outcome."""
    await rig.product("s")
    command = rig.order()
    async with rig.strategy() as strategy:
        assert await strategy.submit(command) < 10
        async with rig.worker():
            (answer,) = await rig.place(strategy, [command])
    assert isinstance(answer, Accepted)
    assert await rig.check([command]) == 1


async def test_what_is_under_way_is_bounded(rig):
    """More callers than `queue_size`: the others get TOO_MANY_REQUESTS at once, and are not queued."""
    await rig.product("s", stock=100)
    commands = [rig.order() for _ in range(20)]
    async with rig.strategy(queue_size=5, max_batch=5) as strategy:
        tasks = [asyncio.ensure_future(strategy.execute(command)) for command in commands]
        refused = await asyncio.gather(*tasks[5:], return_exceptions=True)
        assert {answer.code for answer in refused if isinstance(answer, Busy)} == {"TOO_MANY_REQUESTS"}
        assert strategy.depth == 5
        async with rig.worker():
            assert accepted(await asyncio.gather(*tasks[:5])) == 5
        assert strategy.depth == 0
    assert await rig.check(commands[:5]) == 5
    assert await rig.count() == 5


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
async def test_orders_of_one_key_are_decided_in_the_order_taken(shop_url, kafka_bootstrap, protocol):
    """Per key first in, first out: the versions of each SKU follow the order in which its orders were taken."""
    async with rigged(shop_url, kafka_bootstrap, protocol=protocol) as rig:
        names = ("a", "b", "c", "d")
        await rig.product(*names, stock=1000)
        commands = {name: [rig.order(name) for _ in range(60)] for name in names}
        async with rig.worker(max_batch=16), rig.strategy() as strategy:
            together = [command for four in zip(*commands.values(), strict=True) for command in four]
            assert accepted(await rig.place(strategy, together)) == 240
        assert await rig.check(together) == 240
        for name in names:
            versions = await rig.versions(name, commands[name])
            assert versions == sorted(versions)


async def test_without_brokers_named_it_says_what_to_set():
    """The strategy names the setting that it lacks, and refuses commands while it does not run."""
    with pytest.raises(NotSupported, match="kafka_bootstrap"):
        await Kafka(None).start()


@pytest.mark.parametrize("split", [True, False])
async def test_outcomes_too_large_for_one_message_arrive(rig, monkeypatch, split):
    """120 orders of 100 lines, decided together: every caller gets its own (control: in one message none does)."""
    if not split:
        monkeypatch.setattr(replies, "MAX_BYTES", 10**9)
    names = [f"{n:03}".rjust(64, "s") for n in range(100)]
    await rig.product(*names, stock=120)
    async with rig.strategy() as strategy:
        callers = [asyncio.create_task(strategy.execute(rig.order(*names))) for _ in range(120)]

        async def under_way():
            return strategy.depth == len(callers)

        await eventually_async(under_way)
        async with rig.worker():
            if split:
                answers = await asyncio.gather(*callers)
                assert accepted(answers) == 120
                assert len({answer.data["order_id"] for answer in answers}) == 120
                return

            async def refused():
                return [fields["count"] for event, fields in rig.reports if event == "replies not sent"]

            assert await eventually_async(refused, limit_s=60)
            assert not all(caller.done() for caller in callers)
            for caller in callers:
                caller.cancel()
            await asyncio.gather(*callers, return_exceptions=True)
