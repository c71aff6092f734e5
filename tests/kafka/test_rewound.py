"""A topic that ends before the position: deleted and made again. Nobody guesses; a person sets the position."""

import asyncio

import pytest

from stockade.kafka.admin import Admin, create_topics
from stockade.kafka.worker import LogRewound
from tests.kafka.harness import accepted, rigged
from tests.waiting import eventually_async


@pytest.fixture
async def rig(shop_url, kafka_bootstrap):
    """A shop over a fresh topic of one partition."""
    async with rigged(shop_url, kafka_bootstrap, parts=1) as found:
        await found.product("s")
        yield found


async def made_anew(rig):
    """Delete the topic and make it again, with nothing in it."""
    admin = Admin(rig.log.bootstrap)
    await asyncio.to_thread(admin.delete_topic, rig.log.topic)

    async def gone():
        return await asyncio.to_thread(admin.partition_count, rig.log.topic) == 0

    await eventually_async(gone)
    await asyncio.to_thread(create_topics, rig.log)


async def work(rig):
    """A worker that runs until it ends by itself."""
    async with rig.worker() as worker:
        await asyncio.wait_for(worker._failed.wait(), 30)


async def test_a_topic_that_was_made_anew_stops_the_worker_until_the_position_is_set(rig):
    """The worker ends with LOG_REWOUND and skips nothing; set to the first message, all that was queued is decided."""
    before, after = [rig.order() for _ in range(5)], [rig.order() for _ in range(3)]
    async with rig.worker(), rig.strategy() as strategy:
        assert accepted(await rig.place(strategy, before)) == 5
    await made_anew(rig)
    async with rig.strategy() as strategy:
        for command in after:
            await strategy.submit(command)
        with pytest.raises(
            LogRewound, match=r"ends at 3, before the position 5: .* `stockade positions rewind 0 first`"
        ):
            await work(rig)
        assert await rig.positions.read() == {0: 5}
        assert not await rig.decided(after)
        await rig.positions.rewind(0, 0)
        async with rig.worker():
            assert accepted(await rig.place(strategy, after)) == 3
    assert await rig.check([*before, *after]) == 8
    assert await rig.left() == 12
