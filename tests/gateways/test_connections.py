"""The connections to a gateway are bounded, are used again, and come back whatever becomes of a call."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from stockade.gateways.gateway import Unknown
from stockade.gateways.http_client import HttpClient, Limits, Reply
from tests.waiting import eventually_async

REPLY = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Slow:
    """A server that replies once it is let, and counts its connections."""

    def __init__(self):
        self.connections, self.open, self.waiting, self.go_on = 0, 0, 0, asyncio.Event()

    async def serve(self, reader, writer):
        """One connection, until the client closes it."""
        self.connections += 1
        self.open += 1
        try:
            while (await reader.readuntil(b"\r\n\r\n")) and await reader.readexactly(4):
                self.waiting += 1
                await self.go_on.wait()
                self.waiting -= 1
                writer.write(REPLY)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has closed it
        finally:
            writer.close()
            self.open -= 1


@asynccontextmanager
async def served(connections):
    """The server, and a client of so many connections."""
    slow = Slow()
    server = await asyncio.start_server(slow.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    client = HttpClient(f"http://{host}:{port}/", Limits(connections=connections, reply_s=10, call_s=10))
    try:
        yield slow, lambda: asyncio.create_task(client.call("POST", "/pay", headers={}, content=b"body"))
    finally:
        await client.close()
        server.close()
        await eventually_async(lambda: _true(not slow.open))


@pytest.mark.parametrize(("limit", "made"), [(3, 3), (20, 12)])
async def test_no_more_connections_than_the_limit(limit, made):
    """Of twelve calls three wait for a reply and nine for a connection; the control, with a higher limit, makes 12."""
    async with served(limit) as (slow, call):
        calls = [call() for _ in range(12)]
        await eventually_async(lambda: _true(slow.waiting == made))
        slow.go_on.set()
        assert await asyncio.gather(*calls) == [Reply(200, b"ok")] * 12
        assert slow.connections == made
        assert await call() == Reply(200, b"ok")
        assert slow.connections == made  # one of them was used again


async def test_a_connection_comes_back_from_a_call_that_was_given_up():
    """Two calls hold both connections and are cancelled; a third one is sent, and those that waited are too."""
    async with served(2) as (slow, call):
        held = [call(), call()]
        await eventually_async(lambda: _true(slow.waiting == 2))
        waits, given_up = call(), call()
        given_up.cancel()
        for each in held:
            each.cancel()
        await asyncio.wait([*held, given_up])
        slow.go_on.set()
        assert await waits == await call() == Reply(200, b"ok")


async def test_a_server_that_is_not_there_leaves_the_connections_usable():
    """More failures than connections, and each is `not connected`, not a wait for a connection."""
    client = HttpClient("http://127.0.0.1:9", Limits(connections=1, connect_s=1, call_s=5))
    for _ in range(3):
        answer = await client.call("GET", "/", headers={})
        assert isinstance(answer, Unknown)
        assert (answer.sent, "Connect" in answer.reason) == (False, True)
    await client.close()


async def _true(value):
    return value
