"""Reading requests: bounds in size and time, and clients that go away."""

import asyncio

import pytest

from stockade.shop.http.requests.request_parsing import ClientDisconnected, read_body, read_headers
from stockade.shop.http.responses.problems import ProblemError


def messages(*parts):
    """An ASGI receive function that returns these messages and then nothing."""
    waiting = list(parts)

    async def receive():
        return waiting.pop(0) if waiting else await asyncio.Event().wait()

    return receive


def part(body, more=True):
    return {"type": "http.request", "body": body, "more_body": more}


async def test_a_body_in_parts_is_put_together():
    """Parts are joined in order, empty ones included."""
    assert await read_body(messages(part(b"ab"), part(b""), part(b"c", more=False)), 3, 1.0) == b"abc"


async def test_a_body_that_does_not_arrive_is_given_up():
    """A client that stops in the middle holds nothing for longer than the setting says."""
    with pytest.raises(ProblemError) as refused:
        await read_body(messages(part(b"a")), 10, 0.01)
    assert refused.value.code == "BODY_TIMEOUT"
    assert refused.value.headers == ((b"connection", b"close"),)  # else it would be held for keep_alive_s


async def test_a_client_that_goes_away_is_noticed():
    """A closed connection ends the reading."""
    with pytest.raises(ClientDisconnected):
        await read_body(messages(part(b"a"), {"type": "http.disconnect"}), 10, 1.0)


def test_headers_that_stand_twice_are_noticed():
    """A second Authorization or Idempotency-Key is never silently the one that counts."""
    once = [(b"authorization", b"Bearer a"), (b"idempotency-key", b"k"), (b"content-type", b"application/json")]
    assert read_headers({"headers": once}).repeated is None
    assert read_headers({"headers": [*once, (b"idempotency-key", b"k")]}).repeated == b"idempotency-key"
    assert read_headers({"headers": [*once, (b"authorization", b"Bearer a")]}).repeated == b"authorization"


async def test_a_body_that_is_there_needs_no_timer(monkeypatch):
    """No time limit is set up for a body that came with its head; for one that is waited for, it is (control)."""
    monkeypatch.setattr(asyncio, "timeout", None)
    assert await read_body(messages(part(b"ab", more=False)), 2, 1.0) == b"ab"
    with pytest.raises(TypeError):
        await read_body(messages(), 2, 1.0)


async def test_a_body_that_comes_later_is_whole():
    """Looking whether the body is there takes nothing of it."""
    arrived, rest = asyncio.Event(), messages(part(b"a"), part(b"b", more=False))

    async def receive():
        await arrived.wait()
        return await rest()

    reading = asyncio.create_task(read_body(receive, 2, 10.0))
    await asyncio.sleep(0)
    assert not reading.done()
    arrived.set()
    assert await reading == b"ab"


async def test_a_body_that_is_too_large_is_refused_in_any_part():
    """The limit holds for the first part, which is read without a timer, and for all together."""
    for parts in ([part(b"abc", more=False)], [part(b"ab"), part(b"c")]):
        with pytest.raises(ProblemError) as refused:
            await read_body(messages(*parts), 2, 1.0)
        assert refused.value.code == "BODY_TOO_LARGE"
