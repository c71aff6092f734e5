"""How a producer batches what is enqueued, and when it sends. Where no broker is needed, the client only remembers."""

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
    """A client that takes everything."""

    def __init__(self):
        self.sent = []
        self.flushes = []

    def produce_batch(self, topic, messages):
        """Note a batch and when it came."""
        self.sent.append(([message["value"] for message in messages], asyncio.get_running_loop().time()))
        return len(messages)

    def flush(self, _wait_s):
        """Note how much was sent before, and the thread that waits here."""
        self.flushes.append((len(self.sent), threading.get_ident()))
        return 0

    def purge(self):
        """Nothing waits."""

    def poll(self, _wait_s):
        """No answers."""


def producer(interval_s, linger_ms=0):
    """A producer over such a client, and that client."""
    made = Producer(NOWHERE, batch_interval_s=interval_s, linger_ms=linger_ms)
    made._client = Remembers()
    return made, made._client


def enqueue(made, *values):
    """Enqueue messages of one topic."""
    for value in values:
        made.enqueue("t", value, key=None, on_delivery=lambda error: None)


async def has_sent(client, count):
    """Wait until so many batches are sent."""

    async def enough():
        return len(client.sent) >= count

    await eventually_async(enough)
    return [values for values, _ in client.sent]


async def test_what_is_enqueued_in_one_pass_is_sent_at_once_and_together():
    """The first after a silence does not wait for the interval."""
    made, client = producer(LONG_S)
    enqueue(made, b"1", b"2")
    assert client.sent == []
    assert await has_sent(client, 1) == [[b"1", b"2"]]


async def test_what_is_enqueued_within_the_interval_is_sent_together_at_its_end():
    """Two passes of the loop, one batch; not before the interval since the last one is over."""
    made, client = producer(SHORT_S)
    enqueue(made, b"1")
    await has_sent(client, 1)
    enqueue(made, b"2")
    await asyncio.sleep(0)
    enqueue(made, b"3")
    assert await has_sent(client, 2) == [[b"1"], [b"2", b"3"]]
    (_, first_s), (_, second_s) = client.sent
    assert second_s - first_s >= SHORT_S * 0.9  # event loops round to milliseconds


async def test_control_without_an_interval_each_pass_is_a_batch():
    """The same without an interval: three batches."""
    made, client = producer(0)
    for count, value in enumerate((b"1", b"2", b"3"), 1):
        enqueue(made, value)
        await has_sent(client, count)
    assert await has_sent(client, 3) == [[b"1"], [b"2"], [b"3"]]


async def test_send_batch_does_not_wait_for_the_interval():
    """A service that stops sends what is enqueued."""
    made, client = producer(LONG_S)
    enqueue(made, b"1")
    await has_sent(client, 1)
    enqueue(made, b"2")
    made.send_batch()
    assert await has_sent(client, 2) == [[b"1"], [b"2"]]


async def test_a_producer_that_lingers_flushes_its_batch_on_a_thread_of_its_own():
    """One flush for a batch, behind it; the event loop does not wait in it."""
    made, client = producer(0, linger_ms=LONG_S)
    enqueue(made, b"1", b"2")
    await has_sent(client, 1)

    async def flushed():
        return client.flushes

    await eventually_async(flushed)
    ((sent, thread),) = client.flushes
    assert sent == 1
    assert thread != threading.get_ident()
    made.close()


async def test_control_a_producer_that_does_not_linger_flushes_nothing():
    """Its client sends at once; it has no thread either."""
    made, client = producer(0)
    enqueue(made, b"1")
    await has_sent(client, 1)
    made.close(0)
    assert {thread for _, thread in client.flushes} == {threading.get_ident()}, "only `close` has flushed, here"


async def test_an_error_of_a_callback_on_the_flushing_thread_is_reported_and_stops_nothing():
    """The loop's exception handler gets it, as an error on the loop; the next batch is flushed all the same."""
    made, client = producer(LONG_S, linger_ms=LONG_S)
    errors = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: errors.append(context["exception"]))

    def fails(_wait_s):
        raise ValueError("from a callback")

    client.flush, well = fails, client.flush
    enqueue(made, b"1")
    made.send_batch()

    async def failed():
        return errors

    assert [str(error) for error in await eventually_async(failed)] == ["from a callback"]
    client.flush = well
    enqueue(made, b"2")
    made.send_batch()

    async def flushed():
        return client.flushes

    assert [sent for sent, _ in await eventually_async(flushed)] == [2]
    made.close()
    assert len(errors) == 1


async def test_nobody_polls_for_the_report_of_a_message_that_was_not_taken():
    """Whatever the client raises: else the loop would poll every millisecond for ever."""
    made, client = producer(0)

    def refuses(*_arguments, **_options):
        raise TypeError("headers")

    client.produce = refuses
    with pytest.raises(TypeError):
        made.send("t", b"1", on_delivery=lambda error: None)
    assert not made._awaited


@pytest.mark.kafka
async def test_what_is_enqueued_arrives_before_its_linger_is_over(kafka_bootstrap):
    """Lingering for a quarter of an hour, on real brokers: only the flush can have sent it."""
    topic = f"flushed.{uuid4().hex}"
    admin = Admin(kafka_bootstrap)
    await asyncio.to_thread(admin.create_topic, topic, 1, -1, {})
    made = Producer(kafka_bootstrap, delivery_timeout_s=None, linger_ms=900_000)
    await asyncio.to_thread(made.fetch_metadata, topic)
    arrived = []

    async def enqueued_arrives():
        made.enqueue(
            topic, b"enqueued", key=None, on_delivery=arrived.append
        )  # again: a busy machine may miss a short flush
        return arrived

    await eventually_async(enqueued_arrives, limit_s=30)
    assert set(arrived) == {None}
    await asyncio.to_thread(made.close)
    await asyncio.to_thread(admin.delete_topic, topic)
