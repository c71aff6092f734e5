"""Workers killed, paused and crowded, messages repeated, replies lost: each order is decided once, the audit is clean.

Child processes stop themselves at named points (`tests.kafka.child`), so that a kill lands between two steps.
"""

import asyncio
import signal
import threading
import time

import confluent_kafka
import pytest
from confluent_kafka import KafkaError, KafkaException

from stockade.core import Accepted, Busy, Pending, StaleOffset, Unknown
from stockade.shop.model.resources import SHOP_RESOURCES
from stockade.store import SqlStore
from stockade.store.schema.tables import ledger
from tests.kafka.harness import Process, accepted, rigged
from tests.waiting import eventually_async


@pytest.fixture
async def rig(postgres_database, kafka_bootstrap):
    """A shop on PostgreSQL over a fresh topic, with 1,000 units of four SKUs."""
    async with rigged(postgres_database, kafka_bootstrap) as found:
        await found.product("s", "a", "b", "c", stock=1000)
        yield found


async def all_decided(rig, commands, limit_s=40):
    """Wait for the last decision."""
    await eventually_async(lambda: rig.decided(commands), limit_s)


@pytest.mark.parametrize("point", ["before", "saved", "after"])
async def test_a_killed_worker_loses_and_repeats_nothing(rig, point):
    """Killed before the batch, inside its transaction, or after its commit and before the replies: decided once."""
    commands = [rig.order() for _ in range(40)]
    first = await Process.start(rig, at=point, max_batch=10, after=2)
    async with rig.strategy(wait_s=1.0) as strategy:
        await first.wait_for("partition taken")
        answers = await rig.place(strategy, commands)
        assert await first.ended() == -signal.SIGKILL
        assert any(isinstance(answer, Pending) for answer in answers)
        before = await rig.count()
        async with rig.worker():
            await all_decided(rig, commands)
    assert before == {"before": 10, "saved": 10, "after": 20}[point]
    assert await rig.check(commands) == 40


async def test_committing_the_offset_first_loses_orders(rig):
    """The control: a consumer that moves its position before the orders, and is killed between, has lost them."""
    commands = [rig.order() for _ in range(10)]
    async with rig.strategy(wait_s=0.2) as strategy:
        await rig.place(strategy, commands)
        loser = await Process.start(rig, at="offset moved", offset_first=True)
        assert await loser.ended() == -signal.SIGKILL
        async with rig.worker():
            late = rig.order(number=99)
            await strategy.submit(late)
            await all_decided(rig, [late])
    assert await rig.count() == 1


async def test_replies_that_are_lost_are_asked_for_again(rig):
    """The outcome is durable, its reply is not: the same request id gets the same outcome, and nothing moves twice."""
    commands = [rig.order() for _ in range(20)]
    mute = await Process.start(rig, at="after")
    async with rig.strategy(wait_s=2.0) as strategy:
        await mute.wait_for("partition taken")
        answers = await rig.place(strategy, commands)
        assert all(isinstance(answer, Pending | Unknown) for answer in answers)
    assert await mute.ended() == -signal.SIGKILL
    entries = await rig.count(ledger)
    async with rig.worker(), rig.strategy() as another:
        again = await rig.place(another, commands)
    assert accepted(again) == 20
    assert all(answer.replayed for answer in again)
    assert await rig.count(ledger) == entries
    assert await rig.check(commands) == 20


async def test_a_replay_from_the_first_message_changes_nothing(rig):
    """Every partition read again from offset 0, and a tenth sent twice: identical outcomes, no row moves."""
    commands = [rig.order(name) for _ in range(20) for name in ("s", "a", "b")]
    async with rig.strategy() as strategy:
        async with rig.worker():
            first = await rig.place(strategy, commands)
            again = await rig.place(strategy, commands[::10])
        assert [answer.data for answer in again] == [answer.data for answer in first[::10]]
        entries, consumed = await rig.count(ledger), await rig.positions.read()
        assert sum(consumed.values()) == 66
        for part in consumed:
            await rig.positions.rewind(part, 0)
        async with rig.worker() as worker:

            async def replayed():
                return worker.stats.decided == 66

            await eventually_async(replayed, 20)
    assert await rig.positions.read() == consumed
    assert await rig.count(ledger) == entries
    assert await rig.check(commands) == 60


async def test_a_paused_worker_that_wakes_up_changes_nothing(rig):
    """A worker stopped before its transaction, its orders decided by another meanwhile: awake, it is refused."""
    commands = [rig.order() for _ in range(20)]
    zombie = await Process.start(rig, at="before", then="stop")
    async with rig.strategy(wait_s=60) as strategy:
        await zombie.wait_for("partition taken")
        placing = asyncio.ensure_future(rig.place(strategy, commands))
        await zombie.wait_for("here")
        async with rig.worker():
            answers = await placing  # decided by the other worker, after the session of the first
            assert accepted(answers) == 20
            entries = await rig.count(ledger)
            zombie.send(signal.SIGCONT)
            refused = await zombie.wait_for("partition refused")
            assert "another reader" in refused["error"]
            assert await rig.count(ledger) == entries
            more = [rig.order() for _ in range(20)]
            assert accepted(await rig.place(strategy, more)) == 20
    zombie.send(signal.SIGTERM)
    await zombie.ended()
    assert zombie.reports[-1]["stale"] >= 1
    assert await rig.check(commands + more) == 40


async def test_three_workers_come_and_go_under_load(rig):
    """Three workers join one after the other, one is killed and one stops in order: all decided once, keys in order."""
    names = ("s", "a", "b", "c")
    commands = []
    async with rig.strategy(wait_s=60) as strategy:
        tasks = []

        async def load(rounds):
            for _ in range(rounds):
                four = [rig.order(name) for name in names]
                commands.extend(four)
                tasks.extend(asyncio.ensure_future(strategy.execute(each)) for each in four)
                await asyncio.gather(*tasks[-40:-20])  # not too far ahead

        one = await Process.start(rig)
        await one.wait_for("partition taken")
        loading = asyncio.ensure_future(load(40))
        two, three = await Process.start(rig), await Process.start(rig)
        await asyncio.gather(two.wait_for("partition taken"), three.wait_for("partition taken"))
        one.send(signal.SIGKILL)
        await loading
        two.send(signal.SIGTERM)
        await load(20)
        answers = await asyncio.gather(*tasks)
        assert await two.ended() == 0
    assert all(isinstance(answer, Accepted) for answer in answers)
    assert await rig.check(commands) == 240
    for n, name in enumerate(names):
        versions = await rig.versions(name, commands[n::4])
        assert versions == sorted(versions)


class Hasty(SqlStore):
    """A store that waits for nothing for longer than half a second."""

    async def transact(self, commands, guard, *, deadline, offsets=(), on_decided=None):
        """The same, but for the deadline."""
        soon = min(deadline, time.monotonic() + 0.5)
        return await super().transact(commands, guard, deadline=soon, offsets=offsets, on_decided=on_decided)


async def test_a_database_that_is_away_delays_and_loses_nothing(rig):
    """While no transaction succeeds the batch is tried again, never skipped and never a dead letter."""
    commands = [rig.order() for _ in range(10)]
    async with rig.strategy() as strategy, rig.worker(Hasty(rig.database, SHOP_RESOURCES)) as worker:

        async def at_work():
            return len(worker.partitions) == 3

        async def tried():
            return worker.stats.retries >= 2

        await eventually_async(at_work)
        held = [await rig.database._writers.acquire() for _ in range(rig.database.pool_size)]
        placing = asyncio.ensure_future(rig.place(strategy, commands))
        await eventually_async(tried)
        for _ in held:
            rig.database._writers.release()
        assert accepted(await placing) == 10
        assert worker.stats.dead == 0
    assert await rig.check(commands) == 10


class Stumbling(SqlStore):
    """A store whose first batch fails after it is decided, when the second one is under way already."""

    calls = 0
    second = None

    async def transact(self, commands, guard, *, deadline, offsets=(), on_decided=None):
        """The same, but for the first call."""
        self.calls += 1
        if self.calls == 1:
            self.second = asyncio.Event()
            on_decided()
            await self.second.wait()
            return [Busy("the database is away")] * len(commands)
        answers = await super().transact(commands, guard, deadline=deadline, offsets=offsets, on_decided=on_decided)
        if self.calls == 2:
            assert all(isinstance(answer, StaleOffset) for answer in answers)
            self.second.set()
        return answers


async def test_a_batch_in_flight_is_nothing_without_the_one_before(rig):
    """The first of two batches fails: the second one's transaction is refused, and both are decided in their order."""
    commands = [rig.order() for _ in range(100)]
    store = Stumbling(rig.database, SHOP_RESOURCES)
    async with rig.strategy() as strategy:
        for command in commands:
            await strategy.submit(command)
        async with rig.worker(store, max_batch=40) as worker:
            await all_decided(rig, commands)
    assert store.second is not None
    assert store.second.is_set()
    assert worker.stats.retries == 1
    assert worker.stats.stale == 0
    assert await rig.check(commands) == 100
    versions = await rig.versions("s", commands)
    assert versions == sorted(versions)


class Failing(confluent_kafka.Consumer):
    """A consumer that fails once when it is polled."""

    fails = threading.Event()

    def consume(self, *args):
        """The same, or the error."""
        if self.fails.is_set():
            self.fails.clear()
            raise KafkaException(KafkaError(KafkaError._FATAL, "a fatal error"))
        return super().consume(*args)


async def test_a_failed_reader_of_replies_is_replaced(rig, monkeypatch, caplog):
    """Its client ends by a fatal error: the next one reads on, and callers get their outcomes."""
    monkeypatch.setattr(confluent_kafka, "Consumer", Failing)
    async with rig.strategy(wait_s=20.0) as strategy, rig.worker():
        assert accepted(await rig.place(strategy, [rig.order()])) == 1
    async with rig.strategy(wait_s=20.0) as strategy:
        Failing.fails.set()
        await eventually_async(lambda: asyncio.sleep(0, not Failing.fails.is_set()))
        async with rig.worker():
            assert accepted(await rig.place(strategy, [rig.order()])) == 1
    assert [each.message for each in caplog.records if "a fatal error" in each.message]
