"""What a connection may take before its request has begun, on real sockets."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import pytest
import uvicorn
from uvicorn.server import ServerState

from stockade.shop.config.settings import Settings
from stockade.shop.http.server import open_files
from stockade.shop.http.server.buffered_protocol import BufferedProtocol
from stockade.shop.http.server.connection_limits import ConnectionLimits, LimitedProtocol
from stockade.shop.http.server.open_files import OTHERS, PER_POOLED, connection_limit
from stockade.shop.http.server.server import _limits

WAIT_S = 0.2  # the limit under test
LONG_S = 10.0  # in which it has to act
LIMITS = ConnectionLimits(connections=3, head_wait_s=WAIT_S, head_bytes=1_000, headers=10)
HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"
RIGHT = HEAD + b"\r\n"
POST = b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nab"


async def app(scope, receive, send):
    """Reads the body, but for `/early`, and answers with its length."""
    size = 0
    while scope["path"] != "/early":
        message = await receive()
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    body = b"%d" % size
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def serving(protocol, keep_alive_s=LONG_S):
    """Function that opens a connection to a server of this protocol."""
    state = ServerState()
    config = uvicorn.Config(app, ws="none", lifespan="off", log_config=None, timeout_keep_alive=keep_alive_s)
    config.load()
    make = partial(protocol, config=config, server_state=state, app_state={})
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    opened = []

    async def connect():
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        opened.append(writer)
        return reader, writer

    try:
        yield connect
    finally:
        server.close()
        for connection in list(state.connections):
            connection.transport.abort()
        for writer in opened:
            writer.close()


def limited(**others):
    return partial(LimitedProtocol, limits=replace(LIMITS, **others))


async def until_closed(reader, wait_s=LONG_S):
    """What is sent until the connection ends; None when it stays open for so long."""
    try:
        async with asyncio.timeout(wait_s):
            return await reader.read()
    except TimeoutError:
        return None
    except ConnectionResetError:
        return b""


async def drip(reader, writer, chunks, pause_s=WAIT_S / 4):
    """Send one chunk after the other for as long as the connection is there."""
    ended = asyncio.create_task(until_closed(reader))
    for chunk in chunks:
        writer.write(chunk)
        done, _ = await asyncio.wait([ended], timeout=pause_s)
        if done:
            break
    return await ended


SLOW = {
    "nothing at all": ([b""], b""),
    "half a line": ([b"GET / HT"], b" 408 "),
    "half a header": ([HEAD, b"X-Long: y"], b" 408 "),
    "a byte of a header again and again": ([HEAD, *[b"x"] * 1_000], b" 408 "),
    "a header again and again": ([HEAD, *[b"A: b\r\n"] * 9], b" 408 "),
    "a further request": ([RIGHT, b"", b"GET / HT"], b" 408 "),
    "a body that nobody reads": ([POST, *[b"x"] * 90], b" 200 "),
}


@pytest.mark.parametrize(("chunks", "status"), SLOW.values(), ids=SLOW)
async def test_a_slow_head_ends(chunks, status):
    """A head that does not arrive in time is cut, however it is held up; and so is one that never begins."""
    async with serving(limited()) as connect:
        got = await drip(*await connect(), chunks)
    assert got is not None
    assert status in got


async def test_without_limits_a_slow_head_holds_its_connection():
    """The control: uvicorn's own protocol waits for ever."""
    async with serving(BufferedProtocol) as connect:
        for chunk in (b"", b"GET / HT", HEAD):
            reader, writer = await connect()
            writer.write(chunk)
            assert await until_closed(reader, WAIT_S * 3) is None


LARGE = {
    "a long line": b"GET /" + b"x" * 1_000 + b" HTTP/1.1\r\n\r\n",
    "a long header": HEAD + b"X: " + b"y" * 1_000 + b"\r\n\r\n",
    "a header without an end": HEAD + b"X: " + b"y" * 5_000,
    "many headers": HEAD + b"A: b\r\n" * 10 + b"\r\n",
    "many bytes in many headers": HEAD + (b"A: " + b"b" * 150 + b"\r\n") * 8 + b"\r\n",
}


@pytest.mark.parametrize("parts", [1, 7])
@pytest.mark.parametrize("request_", LARGE.values(), ids=LARGE)
async def test_a_large_head_is_refused(request_, parts):
    """A head beyond its limits is 431, whether it comes at once or in parts, and also if it has no end."""
    size = -(-len(request_) // parts)
    chunks = [request_[n : n + size] for n in range(0, len(request_), size)]
    async with serving(limited(head_wait_s=LONG_S)) as connect:
        got = await drip(*await connect(), chunks, pause_s=0.02)
    assert got is not None
    assert b" 431 " in got
    assert b"HEADERS_TOO_LARGE" in got


async def sizes(reader, count):
    """The bodies of so many answers, each the length of what was sent."""
    found = []
    for _ in range(count):
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), LONG_S)
        assert head.startswith(b"HTTP/1.1 200 "), head
        length = int(head.partition(b"content-length: ")[2].partition(b"\r")[0])
        found.append(int(await reader.readexactly(length)))
    return found


async def test_what_is_within_the_limits_is_answered():
    """Requests at their limits, in pipelines, and behind bodies that are larger than a head: all on one connection."""
    body = b"z" * 50_000
    post = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\n" + body
    just = HEAD + b"X: " + b"y" * 900 + b"\r\n\r\n"
    sent = [
        (RIGHT, [0]),
        (just, [0]),
        (post, [50_000]),
        (RIGHT * 3, [0, 0, 0]),
        (post + RIGHT + post[:30], [50_000, 0]),
        (post[30:60], []),
        (post[60:], [50_000]),
    ]
    async with serving(limited(head_wait_s=LONG_S)) as connect:
        reader, writer = await connect()
        for data, expected in sent:
            writer.write(data)
            assert await sizes(reader, len(expected)) == expected


async def test_an_idle_connection_is_kept_and_then_ends():
    """Between requests `keep_alive_s` counts, not the wait for headers; then the connection ends without a word."""
    async with serving(limited(), keep_alive_s=WAIT_S * 4) as connect:
        reader, writer = await connect()
        writer.write(RIGHT)
        assert await sizes(reader, 1) == [0]
        assert await until_closed(reader, WAIT_S * 2) is None
        assert await until_closed(reader) == b""


async def test_a_connection_too_many_is_told_so():
    """Beyond the limit a connection gets 503 and is closed; when one has gone there is room again."""
    async with serving(limited(connections=2, head_wait_s=LONG_S)) as connect:
        kept = [await connect() for _ in range(2)]
        for reader, writer in kept:
            writer.write(RIGHT)
            assert await sizes(reader, 1) == [0]
        refused = await until_closed((await connect())[0])
        assert b" 503 " in refused
        assert b"TOO_MANY_CONNECTIONS" in refused
        kept[0][1].close()
        assert await until_closed(kept[0][0]) == b""
        reader, writer = await connect()
        writer.write(RIGHT)
        assert await sizes(reader, 1) == [0]


@pytest.mark.parametrize("request_", [b"\x16\x03\x01", b"GET /\xff HTTP/1.1\r\n\r\n", b"nonsense\r\n\r\n"])
async def test_what_is_no_request_is_a_problem_too(request_):
    """What the parser cannot read is answered in the API's own shape."""
    async with serving(limited()) as connect:
        got = await drip(*await connect(), [request_])
    assert b" 400 " in got
    assert b"INVALID_REQUEST" in got


def test_the_settings_are_the_limits():
    """Each setting arrives where it counts, in its unit."""
    settings = Settings(max_connections=7, header_wait_s=1.5, max_header_kib=2, max_headers=9)
    assert _limits(settings, 7) == ConnectionLimits(connections=7, head_wait_s=1.5, head_bytes=2_048, headers=9)


NEEDED = 1_000 + OTHERS + PER_POOLED * 8
ENDLESS = open_files.resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "raised", "allowed"),
    [
        (NEEDED, NEEDED, None, 1_000),
        (ENDLESS, ENDLESS, None, 1_000),
        (256, ENDLESS, NEEDED, 1_000),
        (256, 2 * NEEDED, NEEDED, 1_000),
        (256, 616, 616, 616 - OTHERS - PER_POOLED * 8),
        (64, 64, 64, 1),
    ],
)
def test_connections_are_bounded_by_the_open_files(soft, hard, raised, allowed, monkeypatch):
    """The process raises its own limit as far as it may; where that is too little, it serves fewer connections."""
    made = []
    monkeypatch.setattr(open_files.resource, "getrlimit", lambda kind: (soft, hard))
    monkeypatch.setattr(open_files.resource, "setrlimit", lambda kind, both: made.append(both))
    assert connection_limit(Settings(max_connections=1_000, pool_size=8)) == allowed
    assert made == ([] if raised is None else [(raised, hard)])
