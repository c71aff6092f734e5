"""The TCP proxy: it passes, drops, delays or changes bytes, leads to another port, and leaves nothing open."""

import asyncio
from contextlib import asynccontextmanager
from functools import partial

import pytest

from stockade.devservers.tcp_proxy import HOST, TcpProxy
from tests.waiting import eventually_async

SILENCE_S = 0.1


class AnsweringEnd(asyncio.Protocol):
    """A server's end of a connection: it answers everything with its word."""

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
    server = await asyncio.get_running_loop().create_server(lambda: AnsweringEnd(word, ends), HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await eventually_async(partial(gone, ends))


async def gone(ends):
    """Whether no client is connected: the proxy has closed both ends."""
    return not ends


async def ask(connection):
    """One question over an open connection."""
    reader, writer = connection
    writer.write(b"?")
    return await asyncio.wait_for(reader.read(1), SILENCE_S * 50)


async def test_it_passes_and_leads_elsewhere():
    """The same address leads to another server once it is retargeted; open connections end."""
    async with speaking(b"a") as first, speaking(b"b") as second, TcpProxy(first) as proxy:
        old = await asyncio.open_connection(HOST, proxy.port)
        assert await ask(old) == b"a"
        proxy.retarget(second)
        assert await old[0].read() == b""
        new = await asyncio.open_connection(HOST, proxy.port)
        assert await ask(new) == b"b"
        for _, writer in (old, new):
            writer.close()


async def test_what_is_swallowed_never_arrives_and_neither_side_notices():
    """No answer, no error, no end of the connection: not even when the other side closes."""
    async with speaking(b"a") as target, TcpProxy(target) as proxy:
        connection = await asyncio.open_connection(HOST, proxy.port)
        assert await ask(connection) == b"a"
        proxy.swallow()
        connection[1].write(b"?")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(connection[0].read(1), SILENCE_S)
        connection[1].close()


async def test_a_server_that_is_not_there_is_a_connection_cut():
    """If the server behind an address is down, the client's connection ends at once."""
    async with speaking(b"a") as target:
        pass
    async with TcpProxy(target) as proxy:
        reader, writer = await asyncio.open_connection(HOST, proxy.port)
        assert await asyncio.wait_for(reader.read(), SILENCE_S * 50) == b""
        writer.close()


async def test_it_changes_and_delays_what_the_server_sends():
    """The client receives the edited answer, and not before the delay."""
    async with speaking(b"a") as target, TcpProxy(target, edit=bytes.upper, delay_s=SILENCE_S) as proxy:
        connection = await asyncio.open_connection(HOST, proxy.port)
        began_s = asyncio.get_running_loop().time()
        assert await ask(connection) == b"A"
        assert asyncio.get_running_loop().time() - began_s >= SILENCE_S
        connection[1].close()
