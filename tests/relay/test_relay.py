"""Events leave the outbox at least once, per key in order, whoever relays them and however often it fails."""

import asyncio
from collections import defaultdict

import pytest
from sqlalchemy import delete, insert, select

from stockade.core import Busy
from stockade.service.relay import CONFIRMED, HELD, Handlers, Policy, Relay, SinkDown
from stockade.store.outbox import LeasedPartition, Outbox, OutboxEvent
from stockade.store.schema.tables import outbox
from stockade.store.transaction.outbox_events import OUTBOX_PARTITIONS
from tests.relay.conftest import NOW_MS, Clock, Memory, buy, drain, events_of, ids_of, once_each, relay_over
from tests.store.commands import rid
from tests.store.conftest import soon
from tests.waiting import eventually_async


def by_key(events):
    """Event ids by key, in the order of arrival."""
    found = defaultdict(list)
    for event in events:
        found[event.key].append(event.event_id)
    return dict(found)


async def test_every_event_arrives_once_and_in_order(store):
    """Without a fault: each event once, per key in the order of the orders, and nothing is left waiting."""
    await buy(store, range(300))
    sink = Memory()
    relay = relay_over(store.database, sink, batch=50)
    # 300 orders; 4 new SKUs, and events of 4 SKUs in 3 batches
    assert (await Outbox(store.database).lag())[:2] == (316, 1000)
    assert (await Outbox(store.database).lag(most=10)).waiting == 10
    await drain(relay)
    assert by_key(sink.got) == events_of(range(300))
    assert await Outbox(store.database).lag() == (0, None, 0)
    assert relay.sent == 316
    again = relay_over(store.database, sink)
    assert await again.once() is None


async def test_many_relays_share_the_work(store):
    """Four relays at once, while orders come in: every event arrives, per key in order after telling duplicates."""
    sinks = [Memory() for _ in range(4)]
    stop, errors = asyncio.Event(), []
    relays = [relay_over(store.database, sink, batch=7, idle_s=0.01) for sink in sinks]
    together = []
    for sink in sinks:  # one order of arrival over all of them
        sink.got = together

    def report(what):
        if isinstance(what, Exception):
            errors.append(what)

    tasks = [asyncio.create_task(relay.run(stop, report)) for relay in relays]
    await buy(store, range(200))
    await buy(store, range(200, 400))
    watch = Outbox(store.database)

    async def drained():
        return (await watch.lag()).waiting == 0

    await eventually_async(drained)
    stop.set()
    await asyncio.gather(*tasks)
    assert not errors
    assert by_key(once_each(together)) == events_of(range(200), range(200, 400))
    assert sum(relay.sent > 0 for relay in relays) >= 2


async def test_a_refused_event_holds_back_its_key_only(store):
    """Until its tries are spent, later events of the key wait; other keys flow; then it is a dead letter, kept."""
    ids = await buy(store, range(40))
    expected = events_of(range(40))
    sink, clock = Memory(), Clock()
    sink.refuse = {ids[4]}  # the second order of key a
    relay = relay_over(store.database, sink, clock, tries=3, retry_ms=1000)
    await _rounds(relay)
    assert by_key(sink.got) == {**expected, "stock:a": expected["stock:a"][:2]}
    watch = Outbox(store.database)
    for _ in range(2):
        clock.ms += 60_000
        await _rounds(relay)
    assert by_key(sink.got)["stock:a"] == [id_ for id_ in expected["stock:a"] if id_ != ids[4]]
    assert await watch.lag() == (0, None, 1)
    ((letter, reason),) = await watch.dead()
    assert (letter.event_id, letter.attempts, reason) == (ids[4], 3, "not to my taste")
    sink.refuse = set()
    assert await watch.requeue([letter.id]) == 1
    await drain(relay)
    assert sink.got[-1].event_id == ids[4]


async def _rounds(relay, rounds=2 * OUTBOX_PARTITIONS):
    """Enough rounds to lease every partition; `drain` would not end while events wait for another try."""
    for _ in range(rounds):
        await relay.once()


async def test_a_key_that_waits_does_not_block_its_partition(store):
    """A hundred events behind a refused one do not fill every batch: events of other keys in the same partition are
    still sent."""
    await buy(store, range(100), skus=("a",))
    sink, clock = Memory(), Clock()
    sink.refuse = {f"{rid('stock', 'a')}:0"}
    relay = relay_over(store.database, sink, clock, batch=10, retry_ms=60_000)
    await _rounds(relay)
    assert {event.key for event in sink.got} == {"stock:b", "stock:c", "stock:d"}
    first = select(outbox).where(outbox.c.key == "stock:a").limit(1)
    row = await store.database.read(lambda c: c.execute(first).mappings().one())
    other = {
        **row,
        "id": 10_000,
        "request_id": rid("other"),
        "key": "stock:same-partition",
        "state": "NEW",
        "next_ms": 0,
    }
    await store.database.transaction(lambda c: c.execute(insert(outbox).values(**other)), deadline=soon())
    await _rounds(relay)
    assert [event.key for event in sink.got[3:]] == ["stock:same-partition"]


async def test_an_unreachable_sink_costs_no_try(store):
    """While the sink is away nothing becomes a dead letter; when it is back everything arrives."""
    await buy(store, range(20))
    sink = Memory()
    sink.down = True
    relay = relay_over(store.database, sink, tries=1)
    for _ in range(5):
        with pytest.raises(SinkDown):
            await relay.once()
    sink.down = False
    await drain(relay)
    assert by_key(sink.got) == events_of(range(20))
    assert await Outbox(store.database).lag() == (0, None, 0)


async def test_a_partition_is_taken_over_when_its_lease_is_over(store):
    """A relay stopped with leased partitions: another one waits `ttl_s` of its own clock, then sends their events."""
    await buy(store, range(40))
    ids = ids_of(events_of(range(40)))
    dead, sink, clock = Memory(), Memory(), Clock()
    gone = relay_over(store.database, dead)
    await gone.once()  # sent, and never written down
    relay = relay_over(store.database, sink, clock, ttl_s=10)
    await drain(relay)
    missing = {event.event_id for event in dead.got}
    assert {event.event_id for event in sink.got} == set(ids) - missing
    clock.ms += 9_000
    assert await relay.once() is None
    clock.ms += 2_000
    await drain(relay)
    assert by_key(once_each(dead.got + sink.got)) == events_of(range(40))
    assert len(sink.got) == len(ids)


async def test_a_transaction_that_commits_late_is_not_skipped(server_store):
    """An event with a lower number that becomes visible after a higher one was sent is sent as well."""
    await buy(server_store, [0])
    database, sink = server_store.database, Memory()
    relay = relay_over(database, sink)
    inside, leave = asyncio.Event(), asyncio.Event()
    row = (await database.read(lambda c: c.execute(select(outbox)).mappings().all()))[0]
    late = {k: v for k, v in row.items() if k != "id"} | {"request_id": rid("late"), "key": "stock:late", "part": 3}

    async def hold():
        async with database._backend._write.connect() as connection, connection.begin():
            await connection.execute(insert(outbox).values(**late))
            inside.set()
            await leave.wait()

    task = asyncio.create_task(hold())
    await inside.wait()
    await buy(server_store, [1])
    await drain(relay)
    assert by_key(sink.got) == events_of([0], [1])
    leave.set()
    await task
    await drain(relay)
    assert sink.got[-1].request_id == rid("late")
    assert sink.got[-1].id < max(event.id for event in sink.got[:-1])


async def test_the_embedded_sink_calls_functions(store):
    """In one process without a broker: every handler gets every event; what one raises is kept as the reason."""
    (first, second) = await buy(store, range(2))
    seen, broken = [], [True]

    async def remember(event):
        seen.append(event.event_id)

    async def fail(event):
        if event.event_id == first and broken:
            raise ValueError("cannot read that")

    relay = relay_over(store.database, Handlers(remember, fail), tries=1)
    await drain(relay)
    ((letter, reason),) = await Outbox(store.database).dead()
    assert (letter.event_id, reason) == (first, "ValueError: cannot read that")
    assert second in seen
    assert sorted(seen) == sorted(ids_of(events_of(range(2))))


EVENTS = tuple(OutboxEvent(n, f"r{n}", 0, "taken", "stock:a", b"{}", 0) for n in range(3))


async def test_slow_functions_end_a_batch_early():
    """After `batch_s` the embedded sink begins no further event: what it has handled is recorded while the lease lasts,
    and the next round sends the rest. With time for all it handles all (control)."""
    handled = []

    async def handle(event):
        handled.append(event)

    assert await Handlers(handle, batch_s=0.0).publish(EVENTS) == [CONFIRMED, HELD, HELD]
    assert handled == [EVENTS[0]]
    assert await Handlers(handle, batch_s=60.0).publish(EVENTS) == [CONFIRMED] * 3


class Scripted:
    """Stands for an outbox: each exchange returns or raises the next thing, and sets `stop` with the last."""

    def __init__(self, stop, *results):
        self.stop, self.results = stop, list(results)

    async def exchange(self, report, limit, now_ms):
        result = self.results.pop(0) if limit else None
        if not self.results:
            self.stop.set()
        if isinstance(result, Exception):
            raise result
        return result


async def reports(sink, *results):
    """What a relay reports of these rounds."""
    stop, told = asyncio.Event(), []
    policy = Policy(idle_s=0.001, down_s=0.001, publish_s=0.01)
    await Relay(Scripted(stop, *results), sink, Clock().wall_clock_ms, policy).run(stop, told.append)
    return told


async def test_the_first_good_round_after_errors_is_reported():
    """Also when it had nothing to send: who reads the log sees that the database is back, once. A round without events
    says nothing of a sink that was down (control)."""
    away, leased = Busy("away"), LeasedPartition(0, 1, EVENTS)
    assert await reports(Memory(), None, away, None, None, away, None) == [away, {}, away, {}]
    sink = Memory()
    sink.down = True
    (error,) = await reports(sink, leased, None, None)
    assert isinstance(error, SinkDown)


async def test_a_sink_that_hangs_is_down():
    """A batch without an answer is reported after its time, and the relay goes on."""

    class Hanging(Memory):
        async def publish(self, events):
            await asyncio.Event().wait()

    leased = LeasedPartition(0, 1, EVENTS)
    (error,) = await reports(Hanging(), leased, None)
    assert str(error) == "the sink did not answer within 0.01 s"


async def test_purged_events_are_confirmed_ones(store):
    """The purge takes confirmed events that are old enough, never one that waits or is dead."""
    await buy(store, range(20))
    sink = Memory()
    relay = relay_over(store.database, sink)
    await drain(relay)
    await buy(store, [20])
    watch = Outbox(store.database)
    assert await watch.purge(NOW_MS + 10, batch=3) == 4 + 10  # the SKUs made, and the older orders
    assert await watch.purge(NOW_MS + 10_000) == 10 + 4  # the younger orders, and the levels that they left
    assert (await watch.lag()).waiting == 2
    await store.database.transaction(lambda c: c.execute(delete(outbox)), deadline=soon())
