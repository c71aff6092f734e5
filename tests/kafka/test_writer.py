"""How a Writer bundles what is posted. No brokers: the client is one that only remembers."""

import asyncio

import pytest

pytest.importorskip("confluent_kafka")

from stockade.strategies.kafka_writer import Writer
from tests.waiting import eventually_async

NOWHERE = "127.0.0.1:1"
LONG_S, SHORT_S = 3_600.0, 0.05


class Remembers:
    """A producer that takes everything."""

    def __init__(self):
        self.sent = []

    def produce_batch(self, topic, messages):
        """Note a batch and when it came."""
        self.sent.append(([message["value"] for message in messages], asyncio.get_running_loop().time()))
        return len(messages)

    def poll(self, _wait_s):
        """No answers."""


def writer(gap_s):
    """A Writer over such a producer, and that producer."""
    made = Writer(NOWHERE, gap_s=gap_s)
    made._producer = Remembers()
    return made, made._producer


def post(made, *values):
    """Post messages of one topic."""
    for value in values:
        made.post("t", value, key=None, done=lambda error: None)


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
    made.flush()
    assert await has_sent(client, 2) == [[b"1"], [b"2"]]
