"""The TCP proxy: it passes, drops, delays or changes bytes, leads to another port, and leaves nothing open."""

import asyncio
from contextlib import asynccontextmanager
from functools import partial

import pytest

from stockade.devservers import tcp_proxy
from stockade.devservers.tcp_proxy import HOST, Conditions, TcpProxy
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


async def test_a_connection_that_ends_late():
    """Under latency the end of a connection arrives after what was sent before it, and nothing is lost."""
    async with speaking(b"a" * 50_000) as target, TcpProxy(target) as proxy:
        proxy.set_conditions(Conditions(latency_s=SILENCE_S / 5, piece_bytes=20_000))
        reader, writer = await asyncio.open_connection(HOST, proxy.port)
        writer.write(b"?")
        first = await asyncio.wait_for(reader.read(1), SILENCE_S * 50)
        for end in [*proxy.ends]:
            if not isinstance(end, tcp_proxy._ClientEnd):
                end.abort()
        assert len(first + await asyncio.wait_for(reader.read(), SILENCE_S * 50)) == 50_000
        writer.close()


async def test_it_stops_reading_when_too_much_waits(monkeypatch):
    """A slow link holds a bounded number of bytes; the sender has to wait, and everything arrives."""
    monkeypatch.setattr(tcp_proxy, "MAX_WAITING_BYTES", 10_000)
    async with speaking(b"") as target, TcpProxy(target) as proxy:
        proxy.set_conditions(Conditions(latency_s=SILENCE_S))
        _, writer = await asyncio.open_connection(HOST, proxy.port)
        writer.write(b"?" * 2_000_000)

        async def full():
            return any(end._not_reading for end in proxy.ends)

        await eventually_async(full)
        assert max(end._waiting_bytes for end in proxy.ends) < 1_000_000
        await writer.drain()
        writer.close()
