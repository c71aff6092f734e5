"""The events of the page: nothing is lost on a short break, everything is sent anew after a long one."""

from stockade.lab.live.feed import KEPT, MOST_BEHIND, Feed


async def test_a_new_page_gets_the_state_and_then_events():
    """The state once, then what happens."""
    feed = Feed(lambda: {"all": 1})
    stream = feed.stream(None)
    assert b"retry" in await anext(stream)
    assert b'event: state\ndata: {"all":1}' in await anext(stream)
    feed.publish("run", {"number": 1})
    assert b"id: 1\nevent: run" in await anext(stream)
    assert feed.pages == 1
    await stream.aclose()
    assert feed.pages == 0


async def test_a_page_that_comes_back_gets_what_it_missed():
    """Last-Event-ID says what it has; the rest follows in order."""
    feed = Feed(dict)
    for number in range(5):
        feed.publish("told", {"number": number})
    stream = feed.stream(3)
    await anext(stream)
    chunk = await anext(stream)
    assert [line for line in chunk.splitlines() if line.startswith(b"id")] == [b"id: 4", b"id: 5"]
    await stream.aclose()


async def test_a_page_that_fell_behind_gets_the_state():
    """A slow page has no queue that grows: it skips what it missed."""
    feed = Feed(lambda: {"all": 1})
    stream = feed.stream(None)
    await anext(stream)
    await anext(stream)
    for number in range(MOST_BEHIND + 1):
        feed.publish("told", {"number": number})
    assert (await anext(stream)).count(b"event:") == 1
    for number in range(2 * KEPT):
        feed.publish("told", {"number": number})
    assert b"event: state" in await anext(stream)
    await stream.aclose()


async def test_a_page_of_an_earlier_server_gets_the_state():
    """An id that this server never gave is not waited for."""
    feed = Feed(lambda: {"all": 1})
    stream = feed.stream(99)
    await anext(stream)
    assert b"event: state" in await anext(stream)
    await stream.aclose()


async def test_the_end_is_said():
    """A page learns that the server ends, so that it does not connect for ever."""
    feed = Feed(dict)
    stream = feed.stream(None)
    feed.close()
    assert b"event: end" in [chunk async for chunk in stream][-1]
