"""Faults of links really disturb what passes, and heal: a server that echoes, behind a link."""

import asyncio
import itertools
import re
import time
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace

import pytest

from stockade.devservers.tcp_proxy import CLEAN, HOST, Conditions
from stockade.lab.faults import FAULTS
from stockade.lab.faults.network import CONDITIONS, JITTER_S, LATENCY_S, PIECE_BYTES
from stockade.lab.site.link import Disturbance, Link, composed
from tests.lab.faults.disturbed import disturbed_at
from tests.waiting import eventually_async

SILENCE_S = 0.15
LIMIT_S = 5.0
MANY = b"x" * 4_000


@asynccontextmanager
async def echoing():
    """A server that answers with what was sent; its port. It ends when its last connection has."""
    open_ = set()

    async def echo(reader, writer):
        open_.add(writer)
        with suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        open_.discard(writer)

    async def over():
        return not open_

    server = await asyncio.start_server(echo, HOST, 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await eventually_async(over)


@asynccontextmanager
async def linked():
    """A link to an echo, disturbed by name."""
    async with echoing() as port, Link(port, "client->echo") as link:
        site = SimpleNamespace(links={"database": (link,)})
        yield link, disturbed_at(site)


async def ask(connection, data=b"?"):
    """Send and receive the same; how long that took in seconds."""
    reader, writer = connection
    began_s = time.monotonic()
    writer.write(data)
    assert await asyncio.wait_for(reader.readexactly(len(data)), LIMIT_S) == data
    return time.monotonic() - began_s


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda each: each.name)
async def test_a_link_heals(condition):
    """Whatever was done to it, a new connection works once it is healed, and healing again changes nothing."""
    async with linked() as (link, disturbed):
        fault = FAULTS[condition.name]
        old = await asyncio.open_connection(HOST, link.port)
        await ask(old)
        await fault.inject(disturbed)
        await fault.heal(disturbed)
        await fault.heal(disturbed)
        new = await asyncio.open_connection(HOST, link.port)
        assert await ask(new) < LATENCY_S
        for _, writer in (old, new):
            writer.close()


TOUCHED = {
    "latency": "2,000 bytes late",
    "jitter": "2,000 bytes late",
    "blackhole": "1,000 bytes dropped",
    "reset": "1 connections ended",
    "refuse": "1 connections ended",
    "slice": r"(1,\d{3}|2,000) bytes in pieces",  # the answer is in pieces already, some larger than the link's
    "narrow": "2,000 bytes late",
    "half-close": "1 connections ended",
}


@pytest.mark.parametrize("name", TOUCHED)
async def test_what_was_touched_is_counted(name):
    """The healing says what the fault did to what passed: bytes there and back, or the connection that was open."""
    async with linked() as (link, disturbed):
        _, writer = connection = await asyncio.open_connection(HOST, link.port)
        await ask(connection, MANY)
        assert await FAULTS[name].inject(disturbed) == ()
        if "late" in TOUCHED[name]:
            await ask(connection, MANY[:1_000])
        elif "connections" not in TOUCHED[name]:
            writer.write(MANY[:1_000])
            assert await eventually_async(lambda: counted(link))
        (hit,) = await FAULTS[name].heal(disturbed)
        assert re.fullmatch(f"link client->echo: {TOUCHED[name]}", hit)
        assert not disturbed.notes
        writer.close()


async def counted(link):
    """Whether everything has come to the link."""
    return link.touched.dropped + link.touched.sliced >= 1_000


@pytest.mark.parametrize("name", TOUCHED)
async def test_a_link_through_which_nothing_passes_is_not_hit(name):
    """Neither one without a connection, nor, unless the fault ends connections, one whose connection is idle."""
    async with linked() as (link, disturbed):
        writer = None
        if "connections" not in TOUCHED[name]:
            connection = await asyncio.open_connection(HOST, link.port)
            await ask(connection)
            writer = connection[1]
        await FAULTS[name].inject(disturbed)
        assert await FAULTS[name].heal(disturbed) == []
        assert disturbed.notes == ["nothing that it could touch was on the link client->echo"]
        if writer is not None:
            writer.close()


async def test_small_pieces_are_not_sliced():
    """What is not larger than a piece passes as it is: the fault has not touched it."""
    async with linked() as (link, disturbed):
        connection = await asyncio.open_connection(HOST, link.port)
        await FAULTS["slice"].inject(disturbed)
        await ask(connection, b"x" * PIECE_BYTES)
        assert await FAULTS["slice"].heal(disturbed) == []
        connection[1].close()


async def test_each_of_two_faults_counts_what_it_touched_itself():
    """Dropped bytes are not late, and the connection that one resets is not one that the other has reset."""
    async with linked() as (link, disturbed):
        _, writer = connection = await asyncio.open_connection(HOST, link.port)
        await ask(connection)
        for name in ("latency", "blackhole"):
            await FAULTS[name].inject(disturbed)
        writer.write(MANY[:1_000])
        assert await eventually_async(lambda: counted(link))
        assert await FAULTS["latency"].heal(disturbed) == []
        await FAULTS["refuse"].inject(disturbed)
        assert await FAULTS["blackhole"].heal(disturbed) == ["link client->echo: 1,000 bytes dropped"]
        assert await FAULTS["refuse"].heal(disturbed) == ["link client->echo: 1 connections ended"]
        writer.close()


@pytest.mark.parametrize(("name", "least_s"), [("latency", 2 * LATENCY_S), ("jitter", JITTER_S / 20)])
async def test_late(name, least_s):
    """An answer takes the latency twice, there and back, on a connection that was open before."""
    async with linked() as (link, disturbed):
        connection = await asyncio.open_connection(HOST, link.port)
        assert await ask(connection) < LATENCY_S
        await FAULTS[name].inject(disturbed)
        assert max([await ask(connection) for _ in range(3)]) >= least_s
        await FAULTS[name].heal(disturbed)
        assert await ask(connection) < LATENCY_S
        connection[1].close()


async def test_a_black_hole():
    """No answer and no error until it is healed; then the connection that lost bytes is reset."""
    async with linked() as (link, disturbed):
        reader, writer = await asyncio.open_connection(HOST, link.port)
        await FAULTS["blackhole-database"].inject(disturbed)
        writer.write(b"?")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), SILENCE_S)
        await FAULTS["blackhole-database"].heal(disturbed)
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(1), LIMIT_S)
        writer.close()


async def test_resets():
    """An open connection is reset, a new one works; after the interval it is reset too, until it is healed."""
    async with linked() as (link, disturbed):
        first = await asyncio.open_connection(HOST, link.port)
        await ask(first)
        await FAULTS["reset"].inject(disturbed)
        second = await asyncio.open_connection(HOST, link.port)
        await ask(second)
        for reader, writer in (first, second):
            with pytest.raises(ConnectionResetError):
                await asyncio.wait_for(reader.read(1), LIMIT_S)
            writer.close()
        await FAULTS["reset"].heal(disturbed)


async def test_refused():
    """New connections are refused by the system, as by a host whose server is down."""
    async with linked() as (link, disturbed):
        await FAULTS["refuse"].inject(disturbed)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(HOST, link.port)
        await FAULTS["refuse"].heal(disturbed)
        (await asyncio.open_connection(HOST, link.port))[1].close()


def state(link):
    """What a link is now."""
    return link.conditions, link.passing, link._server is not None, set(link._timers)


@pytest.mark.parametrize(("healed", "stays"), list(itertools.permutations([each.name for each in CONDITIONS], 2)))
async def test_the_healing_of_one_leaves_the_other(healed, stays):
    """Of each two that disturb one link, in both orders: the link is then as if only the other had begun."""
    async with linked() as (link, disturbed):
        await FAULTS[stays].inject(disturbed)
        alone = state(link)
        await FAULTS[f"{healed}-database"].inject(disturbed)
        assert state(link) != alone
        await FAULTS[f"{healed}-database"].heal(disturbed)
        assert state(link) == alone
        await FAULTS[stays].heal(disturbed)
        assert state(link) == (CLEAN, True, True, set())


def test_conditions_compose():
    """Delays add up, the smallest piece and the lowest rate count, and what one does not say the other may."""
    some = [Conditions(0.05, 0.1), Conditions(0.01, 0.0, 16, 1_000.0), Conditions(piece_bytes=8, bytes_per_s=2_000.0)]
    assert composed(some) == Conditions(pytest.approx(0.06), 0.1, 8, 1_000.0)
    assert composed([]) == CLEAN


async def test_the_same_fault_twice_ends_once():
    """Healed means healed, however often it was injected; what an unknown fault has begun ends with `restore`."""
    async with linked() as (link, disturbed):
        for _ in range(2):
            await FAULTS["reset"].inject(disturbed)
        await FAULTS["reset"].heal(disturbed)
        assert state(link) == (CLEAN, True, True, set())
        await link.disturb("unknown", Disturbance(silent=True))
        await link.restore()
        assert state(link) == (CLEAN, True, True, set())


async def test_slices():
    """What is sent at once arrives in pieces, complete and in order; the control arrives at once."""
    async with linked() as (link, disturbed):
        reader, writer = await asyncio.open_connection(HOST, link.port)
        whole = bytes(range(200))
        await ask((reader, writer), whole)
        await FAULTS["slice"].inject(disturbed)
        writer.write(whole)
        pieces = [await asyncio.wait_for(reader.read(65_536), LIMIT_S)]
        while sum(map(len, pieces)) < len(whole):
            pieces.append(await asyncio.wait_for(reader.read(65_536), LIMIT_S))
        assert b"".join(pieces) == whole
        assert len(pieces) > 2
        assert len(pieces[0]) % PIECE_BYTES == 0
        writer.close()


async def test_narrow():
    """Much takes its time, little does not."""
    async with linked() as (link, disturbed):
        connection = await asyncio.open_connection(HOST, link.port)
        await FAULTS["narrow"].inject(disturbed)
        assert await ask(connection) < 0.04 < await ask(connection, MANY)
        connection[1].close()


async def test_half_closed():
    """The client reads the end of the connection and may still write; the server still reads."""
    async with linked() as (link, disturbed):
        reader, writer = await asyncio.open_connection(HOST, link.port)
        await ask((reader, writer))
        await FAULTS["half-close"].inject(disturbed)
        assert await asyncio.wait_for(reader.read(1), LIMIT_S) == b""
        assert len(link.ends) == 2
        writer.write(b"?")
        await writer.drain()
        await FAULTS["half-close"].heal(disturbed)
        writer.close()
