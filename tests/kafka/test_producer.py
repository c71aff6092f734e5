"""How a Writer bundles what is posted, and when it leaves. Where no broker adds anything, the client only remembers."""

import asyncio
import threading
from uuid import uuid4

import pytest

pytest.importorskip("confluent_kafka")

from stockade.kafka.admin import Admin
from stockade.kafka.producer import Producer
from tests.waiting import eventually_async

NOWHERE = "127.0.0.1:1"
LONG_S, SHORT_S = 3_600.0, 0.05


class Remembers:
    """A producer that takes everything."""

    def __init__(self):
        self.sent = []
        self.pushes = []

    def produce_batch(self, topic, messages):
        """Note a batch and when it came."""
        self.sent.append(([message["value"] for message in messages], asyncio.get_running_loop().time()))
        return len(messages)

    def flush(self, _wait_s):
        """Note how much was sent before, and the thread that waits here."""
        self.pushes.append((len(self.sent), threading.get_ident()))
        return 0

    def purge(self):
        """Nothing waits."""

    def poll(self, _wait_s):
        """No answers."""


def writer(gap_s, linger_ms=0):
    """A Writer over such a producer, and that producer."""
    made = Producer(NOWHERE, batch_interval_s=gap_s, linger_ms=linger_ms)
    made._client = Remembers()
    return made, made._client


def post(made, *values):
    """Post messages of one topic."""
    for value in values:
        made.enqueue("t", value, key=None, on_delivery=lambda error: None)


async def has_sent(client, count):
    """Wait until so many batches are sent."""

    async def enough():
        return len(client.sent) >= count

    await eventually_async(enough)
    return [values for values, _ in client.sent]


async def test_what_is_posted_in_one_pass_leaves_at_once_and_together():
    """The first after a silence does not wait for the gap."""
    made, client = writer(LONG_S)
    post(made, b"1", b"2")
    assert client.sent == []
    assert await has_sent(client, 1) == [[b"1", b"2"]]


async def test_what_is_posted_within_the_gap_leaves_together_when_it_is_over():
    """Two passes of the loop, one batch; not before the gap since the last one is over."""
    made, client = writer(SHORT_S)
    post(made, b"1")
    await has_sent(client, 1)
    post(made, b"2")
    await asyncio.sleep(0)
    post(made, b"3")
    assert await has_sent(client, 2) == [[b"1"], [b"2", b"3"]]
    (_, first_s), (_, second_s) = client.sent
    assert second_s - first_s >= SHORT_S * 0.9  # event loops round to milliseconds


async def test_control_without_a_gap_each_pass_is_a_batch():
    """The same without a gap: three batches."""
    made, client = writer(0)
    for count, value in enumerate((b"1", b"2", b"3"), 1):
        post(made, value)
        await has_sent(client, count)
    assert await has_sent(client, 3) == [[b"1"], [b"2"], [b"3"]]


async def test_flush_does_not_wait_for_the_gap():
    """A service that stops sends what is posted."""
    made, client = writer(LONG_S)
    post(made, b"1")
    await has_sent(client, 1)
    post(made, b"2")
    made.send_batch()
    assert await has_sent(client, 2) == [[b"1"], [b"2"]]


async def test_a_writer_that_lingers_pushes_what_it_has_sent_on_a_thread_of_its_own():
    """One push for a batch, behind it; the event loop does not wait in it."""
    made, client = writer(0, linger_ms=LONG_S)
    post(made, b"1", b"2")
    await has_sent(client, 1)

    async def pushed():
        return client.pushes

    await eventually_async(pushed)
    ((sent, thread),) = client.pushes
    assert sent == 1
    assert thread != threading.get_ident()
    made.close()


async def test_control_a_writer_that_does_not_linger_has_nothing_to_push():
    """Its client sends at once; it has no thread either."""
    made, client = writer(0)
    post(made, b"1")
    await has_sent(client, 1)
    made.close(0)
    assert {thread for _, thread in client.pushes} == {threading.get_ident()}, "only `close` has flushed, here"


async def test_what_a_done_raises_on_the_pushing_thread_is_told_and_stops_nothing():
    """The loop's exception handler hears of it, as of what one raises on the loop; the next post is pushed again."""
    made, client = writer(LONG_S, linger_ms=LONG_S)
    told = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context["exception"]))

    def fails(_wait_s):
        raise ValueError("from a done")

    client.flush, well = fails, client.flush
    post(made, b"1")
    made.send_batch()

    async def heard():
        return told

    assert [str(error) for error in await eventually_async(heard)] == ["from a done"]
    client.flush = well
    post(made, b"2")
    made.send_batch()

    async def pushed():
        return client.pushes

    assert [sent for sent, _ in await eventually_async(pushed)] == [2]
    made.close()
    assert len(told) == 1


async def test_nobody_is_asked_for_the_answer_to_a_message_that_was_not_taken():
    """Whatever the client raises: else the loop would ask every millisecond for ever."""
    made, client = writer(0)

    def refuses(*_arguments, **_options):
        raise TypeError("headers")

    client.produce = refuses
    with pytest.raises(TypeError):
        made.send("t", b"1", on_delivery=lambda error: None)
    assert not made._awaited


@pytest.mark.kafka
async def test_what_is_posted_arrives_before_its_linger_is_over(kafka_bootstrap):
    """Lingering for a quarter of an hour, on real brokers: only the push can have sent it."""
    topic = f"pushed.{uuid4().hex}"
    admin = Admin(kafka_bootstrap)
    await asyncio.to_thread(admin.create_topic, topic, 1, -1, {})
    made = Producer(kafka_bootstrap, delivery_timeout_s=None, linger_ms=900_000)
    await asyncio.to_thread(made.fetch_metadata, topic)
    arrived = []

    async def posted_arrives():
        made.enqueue(
            topic, b"posted", key=None, on_delivery=arrived.append
        )  # again: a busy machine may miss a short push
        return arrived

    await eventually_async(posted_arrives, limit_s=30)
    assert set(arrived) == {None}
    await asyncio.to_thread(made.close)
    await asyncio.to_thread(admin.delete_topic, topic)
