"""More partitions for a topic that is in use: the procedure of docs/strategies/kafka.md, and what it is there for."""

import asyncio

import pytest

from tests.kafka.harness import rigged
from tests.waiting import eventually_async

NAMES = ("a", "b", "c", "d", "e", "f")  # some of their keys move to another partition
EACH = 40
OLD = 2  # partitions that the topic begins with
LIMIT_S = 30


@pytest.fixture
async def rig(shop_url, kafka_bootstrap):
    """A shop over a fresh topic of two partitions."""
    async with rigged(shop_url, kafka_bootstrap, parts=OLD) as found:
        await found.product(*NAMES, stock=1000)
        yield found


async def grow(rig, parts):
    """Give the topic so many partitions."""
    from confluent_kafka.admin import AdminClient, NewPartitions

    admin = AdminClient({"bootstrap.servers": rig.log.bootstrap})
    answers = admin.create_partitions([NewPartitions(rig.log.topic, parts)])
    await asyncio.to_thread(answers[rig.log.topic].result, 15)


async def queued(rig):
    """Orders of every product in turn, put into the log by a service that starts now; by product, in their order."""
    orders = {name: [rig.order(name) for _ in range(EACH)] for name in NAMES}
    in_turn = [command for each in zip(*orders.values(), strict=True) for command in each]
    async with rig.strategy() as strategy:
        await asyncio.gather(*(strategy.submit(command) for command in in_turn))
    return orders


class NewFirst:
    """A store whose batches of the old partitions wait until one of a new partition is decided."""

    def __init__(self, store):
        self._store, self._decided = store, asyncio.Event()

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def transact(self, commands, guard, *, offsets, **options):
        """See `SqlStore.transact`."""
        if offsets[0].part < OLD:
            async with asyncio.timeout(LIMIT_S):
                await self._decided.wait()
        answers = await self._store.transact(commands, guard, offsets=offsets, **options)
        if offsets[0].part >= OLD:
            self._decided.set()
        return answers


async def decide(rig, *orders, store=None):
    """Let a worker decide all these, in small batches."""
    commands = [command for each in orders for some in each.values() for command in some]
    async with rig.worker(store, max_batch=8):
        await eventually_async(lambda: rig.decided(commands), LIMIT_S)
    return commands


@pytest.mark.parametrize("drained", [True, False], ids=["drained", "in use"])
async def test_more_partitions_keep_the_order_of_a_key_only_when_the_log_was_drained(rig, drained):
    """Drained first, every product's orders stay in line, even where the new partitions are read first; changed in use,
    some overtake; stock is right."""
    early = await queued(rig)
    if drained:
        await decide(rig, early)
    await grow(rig, 5)
    late = await queued(rig)
    commands = await decide(rig, early, late, store=NewFirst(rig.store))
    assert set(await rig.positions.read()) == set(range(5)), "new partitions are read, from their first message"
    versions = [await rig.versions(name, early[name] + late[name]) for name in NAMES]
    overtaken = [each for each in versions if each != sorted(each)]
    assert (not overtaken) if drained else overtaken
    assert await rig.check(commands) == 2 * EACH * len(NAMES)
