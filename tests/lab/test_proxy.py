"""The TCP proxy: passes, swallows without a word, leads elsewhere, and leaves nothing open."""

import asyncio
from contextlib import asynccontextmanager
from functools import partial

import pytest

from stockade.devservers.tcp_proxy import HOST, Proxy
from tests.waiting import eventually_async

SILENCE_S = 0.1


class Speaker(asyncio.Protocol):
    """A server's end of a connection: answers everything with its word."""

    def __init__(self, word, ends):
        self.word, self.ends = word, ends

    def connection_made(self, transport):
        self.transport = transport
        self.ends.add(self)

    def data_received(self, data):
        self.transport.write(self.word)

    def connection_lost(self, exc):
        self.ends.discard(self)


@asynccontextmanager
async def speaking(word):
    """A server that answers everything with a word; its port."""
    ends = set()
    server = await asyncio.get_running_loop().create_server(lambda: Speaker(word, ends), HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await eventually_async(partial(gone, ends))


async def gone(ends):
    """Whether nobody is connected any more: the proxy has hung up at both ends."""
    return not ends


@asynccontextmanager
async def through(target):
    """An open proxy to this port."""
    proxy = Proxy(target)
    await proxy.open()
    try:
        yield proxy
    finally:
        await proxy.close()


async def ask(connection):
    """One question over an open connection."""
    reader, writer = connection
    writer.write(b"?")
    return await asyncio.wait_for(reader.read(1), SILENCE_S * 50)


async def test_it_passes_and_leads_elsewhere():
    """The same address answers as another server once it is pointed there; who was connected is cut off."""
    async with speaking(b"a") as first, speaking(b"b") as second, through(first) as proxy:
        old = await asyncio.open_connection(HOST, proxy.port)
        assert await ask(old) == b"a"
        proxy.point(second)
        assert await old[0].read() == b""
        new = await asyncio.open_connection(HOST, proxy.port)
        assert await ask(new) == b"b"
        for _, writer in (old, new):
            writer.close()


async def test_what_is_swallowed_never_arrives_and_nobody_is_told():
    """No answer, no error, no end of the connection: not even when the other side closes."""
    async with speaking(b"a") as target, through(target) as proxy:
        connection = await asyncio.open_connection(HOST, proxy.port)
        assert await ask(connection) == b"a"
        proxy.swallow()
        connection[1].write(b"?")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(connection[0].read(1), SILENCE_S)
        connection[1].close()


async def test_a_server_that_is_not_there_is_a_connection_cut():
    """What a client meets when the server behind an address is down: an end, at once."""
    async with speaking(b"a") as target:
        pass
    async with through(target) as proxy:
        reader, writer = await asyncio.open_connection(HOST, proxy.port)
        assert await asyncio.wait_for(reader.read(), SILENCE_S * 50) == b""
        writer.close()
