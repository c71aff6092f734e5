"""Events into a real Kafka: in order per key, confirmed by the brokers, refused only for what they are."""

import asyncio
from uuid import uuid4

import pytest

from stockade.core import Busy, Guard
from stockade.devservers.process import free_port
from stockade.kafka.admin import Admin, read_topic
from stockade.service.relay import HELD, KafkaSink, SinkDown
from stockade.store.outbox import Outbox, OutboxEvent
from tests.relay.conftest import SKUS, buy, drain, events_of, ids_of, relay_over
from tests.store.commands import Take, rid
from tests.store.conftest import opened, soon, stocked


@pytest.fixture
async def shop(tmp_path):
    """A shop on SQLite: what the databases add is held by the other tests."""
    async with opened(f"sqlite:///{tmp_path / 'stockade.sqlite'}") as database:
        await Outbox(database).open()
        yield await stocked(database, *SKUS, n=10_000)


@pytest.fixture
async def topic(kafka_bootstrap):
    """A fresh topic's name."""
    name = f"test.events.{uuid4().hex[:12]}"
    yield name
    await asyncio.to_thread(Admin(kafka_bootstrap).delete_topic, name)


async def test_events_arrive_in_a_topic(shop, kafka_bootstrap, topic):
    """Every event once, its id and kind as CloudEvents headers; the events of a key in the order of its versions."""
    await buy(shop, range(200))
    expected = events_of(range(200))
    relay = relay_over(shop.database, KafkaSink(kafka_bootstrap, topic, partitions=1), batch=64)
    await drain(relay)
    await relay._sink.close()
    records = await asyncio.to_thread(read_topic, kafka_bootstrap, topic, 1000)
    arrived = {key: [] for key in expected}
    for record in records:
        arrived[record.key.decode()].append(record.headers["ce_id"].decode())
    assert arrived == expected
    assert {record.headers["ce_type"] for record in records} == {b"taken", b"stock.changed"}
    assert await Outbox(shop.database).lag() == (0, None, 0)


async def test_brokers_that_are_away_cost_no_try(shop, kafka_bootstrap, topic):
    """No broker listens: nothing counts as refused; with brokers everything arrives."""
    await buy(shop, range(20))
    away = relay_over(shop.database, KafkaSink(f"127.0.0.1:{free_port()}", topic, wait_s=0.5), tries=1)
    away._sink._open = lambda: _without_asking(away._sink)
    with pytest.raises(SinkDown):
        await away.once()
    await away.once(last=True)
    await away._sink.close()
    relay = relay_over(shop.database, KafkaSink(kafka_bootstrap, topic, partitions=1))
    await drain(relay)
    await relay._sink.close()
    records = await asyncio.to_thread(read_topic, kafka_bootstrap, topic, 1000)
    assert sorted(record.headers["ce_id"].decode() for record in records) == sorted(ids_of(events_of(range(20))))
    assert (await Outbox(shop.database).lag()).dead == 0


async def _without_asking(sink):
    """The topic is known to be there; the brokers go away afterwards."""
    from stockade.kafka.producer import Producer

    sink._producer = sink._producer or Producer(sink._brokers, delivery_timeout_s=None)
    return sink._producer


async def test_an_event_that_is_too_large_becomes_a_dead_letter(shop, kafka_bootstrap, topic):
    """The brokers would never take it: its tries are spent, it is kept with the reason, and its neighbours arrive."""
    await buy(shop, range(4))
    large = Take(rid("large"), skus=("a",))
    (answer,) = await shop.transact([large], Guard.ROW, deadline=soon())
    assert answer.accepted

    class Large(KafkaSink):
        """Blows that event up."""

        async def publish(self, events):
            blown = [e._replace(body=b"x" * 2_000_000) if e.event_id == f"{large.request_id}:0" else e for e in events]
            return await super().publish(blown)

    relay = relay_over(shop.database, Large(kafka_bootstrap, topic, partitions=1), tries=1)
    await drain(relay)
    await relay._sink.close()
    ((letter, reason),) = await Outbox(shop.database).dead()
    assert letter.event_id == f"{large.request_id}:0"
    assert "too large" in reason.lower()
    arrived = await asyncio.to_thread(read_topic, kafka_bootstrap, topic, 1000)
    assert len(arrived) == len(ids_of(events_of(range(4)))) + 1  # and the level that the large one left


class Failing:
    """Stands for a producer: a broker gives no fatal error when a test wants it."""

    def __init__(self, refusal=None, report=None):
        self.refusal, self.report = refusal, report
        self.closed = False

    def send(self, *_, on_delivery, **__):
        if self.refusal is not None:
            raise self.refusal
        on_delivery(self.report)

    def close(self, wait_s):
        self.closed = True


@pytest.mark.parametrize(
    "failing",
    [Failing(refusal=Busy("a fatal error", "DEPENDENCY_DOWN")), Failing(report=RuntimeError("a fatal error"))],
    ids=["send", "delivery"],
)
async def test_a_producer_that_has_failed_is_replaced(failing):
    """A client with a fatal error sends nothing any more: the sink says so and makes another one. A full queue ends
    by itself (control)."""
    event = OutboxEvent(1, "r", 0, "taken", "stock:a", b"{}", 0)
    sink = KafkaSink("127.0.0.1:1")
    sink._producer = full = Failing(refusal=Busy("too many messages", "TOO_MANY_REQUESTS"))
    assert (list(await sink.publish([event])), full.closed) == ([HELD], False)
    sink._producer = failing
    with pytest.raises(SinkDown, match="a fatal error"):
        await sink.publish([event])
    assert failing.closed
    assert sink._producer is None
