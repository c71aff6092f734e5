"""Connecting: whatever answers, or does not, the call ends in time and says in one line what is wrong."""

import asyncio
import socket
import struct
import time
from contextlib import asynccontextmanager

import pytest
import uvloop

from stockade.drivers.failures import AccessRefused, ConnectFailed, Failure, classify, describe
from stockade.drivers.mysql import MySQLAddress
from stockade.drivers.postgres import PostgresAddress, behind_pooler

LIMIT_S, SLACK_S = 0.7, 1.0
ADDRESSES = {"postgresql": PostgresAddress, "mariadb": MySQLAddress}
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def silent(_transport):
    return None


def closes(transport):
    transport.close()


def resets(transport):
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def speaks_http(transport):
    transport.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nwhat is this?")
    transport.close()


def cuts_its_greeting(transport):
    transport.write(b"\x04\x00\x00\x00abcd")
    transport.close()


FAULTS = [silent, closes, resets, speaks_http, cuts_its_greeting]


@asynccontextmanager
async def listening(fault):
    """The port of something that does this to everyone who connects."""
    transports = []

    class Fault(asyncio.Protocol):
        def connection_made(self, transport):
            transports.append(transport)
            fault(transport)

    server = await asyncio.get_running_loop().create_server(Fault, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for transport in transports:
            transport.abort()
        await asyncio.sleep(0)  # the loop closes aborted sockets in its next turn


async def outcome(address):
    """The error of a connect, and the seconds that it took."""
    began = time.monotonic()
    try:
        connection = await address.connect()
    except (AccessRefused, ConnectFailed) as error:
        return error, time.monotonic() - began
    connection.close()
    raise AssertionError("connected")


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("scheme", ADDRESSES)
def test_what_is_no_server(scheme, loop):
    """Nobody, silence, a closed or reset connection, another protocol: one error, classified, in time."""

    async def all_of_them():
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        seen = {"nobody": await outcome(address(port))}
        for fault in FAULTS:
            async with listening(fault) as port:
                seen[fault.__name__] = await outcome(address(port))
        return seen

    def address(port):
        return ADDRESSES[scheme].parse(f"{scheme}://u:s3cret@127.0.0.1:{port}/d?connect_timeout={LIMIT_S}")

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        for name, (error, took_s) in runner.run(all_of_them()).items():
            assert isinstance(error, ConnectFailed), (name, error)
            assert classify(error) is Failure.LOST, name
            assert "127.0.0.1:" in describe(error), name
            assert "\n" not in str(error), name
            assert "s3cret" not in str(error), name
            assert took_s < LIMIT_S + SLACK_S, name


async def test_the_drivers_alone_wait_longer():
    """The control: asyncmy by itself still waits for a greeting when our bound is long over."""
    import asyncmy

    async with listening(silent) as port:
        waiting = asyncio.create_task(asyncmy.connect(host="127.0.0.1", port=port, user="u", connect_timeout=LIMIT_S))
        done, _ = await asyncio.wait([waiting], timeout=2 * (LIMIT_S + SLACK_S))
        assert not done
        waiting.cancel()
        await asyncio.wait([waiting])


async def test_a_silent_host_leaves_time_for_the_next(postgres_url):
    """Of several hosts the first one is silent and the second one refuses: the third one is connected to in time."""
    port = PostgresAddress.parse(postgres_url).hosts[0][1]
    async with listening(silent) as mute:
        url = f"postgresql://stockade@127.0.0.1:{mute},127.0.0.1:1,127.0.0.1:{port}/postgres?connect_timeout=3"
        connection = await PostgresAddress.parse(url).connect()
        try:
            assert await connection.fetchval("SELECT 1") == 1
        finally:
            await connection.close()


REFUSALS = {
    "postgres": ["{url}/nope", "{stranger}/postgres", "{url}/postgres?options=-c%20nonsense%3D1"],
    "mariadb": ["{url}/nope", "{stranger}/stockade", "{url}/stockade?ssl_mode=REQUIRED"],
}


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=getattr(pytest.mark, kind)) for kind in REFUSALS])
async def test_what_a_server_refuses(kind, server_url):
    """A missing database, an unknown user, a setting or TLS that the server has not: said, without the password."""
    url = server_url(kind).rpartition("/")[0]
    scheme, _, place = url.partition("://")
    names = {"url": url, "stranger": f"{scheme}://nobody:s3cret@{place.rpartition('@')[2]}"}
    for text in REFUSALS[kind]:
        error, _ = await outcome(ADDRESSES[scheme].parse(text.format(**names)))
        assert isinstance(error, AccessRefused | ConnectFailed), (text, error)
        assert "s3cret" not in str(error), text
        if "?" not in text:
            assert classify(error) is Failure.REFUSED, text


@pytest.mark.parametrize(
    "query", ["connect_timeout=5", "application_name=one", "options=-c%20search_path%3Dpg_catalog"]
)
async def test_settings_reach_postgres(query, postgres_url):
    """What the URL sets is set in the session."""
    wanted = {"application_name": "one", "search_path": "pg_catalog"}
    address = PostgresAddress.parse(f"{postgres_url}?{query}")
    connection = await address.connect(server_settings={"application_name": "other"})
    try:
        seen = {name: await connection.fetchval("SELECT current_setting($1)", name) for name in wanted}
    finally:
        await connection.close()
    changed = {name for name, value in wanted.items() if value == seen[name]}
    assert changed == {name for name in wanted if name in query}
    assert seen["application_name"] in ("one", "other")
    assert not await behind_pooler(address, {})


@pytest.mark.postgres
@pytest.mark.mariadb
async def test_unix_sockets(servers):
    """Both servers are reached through the socket that the URL names, in each of its spellings."""
    postgres, mariadb = servers.postgres(unix_socket_directories=servers.folder / "postgres-1"), servers.mariadb()
    folder = next(postgres.folder.rglob(f".s.PGSQL.{postgres.port}")).parent
    written = str(folder).replace("/", "%2F")
    for url in (f"/postgres?host={folder}&port={postgres.port}", f"{written}/postgres?port={postgres.port}"):
        found = await PostgresAddress.parse(f"postgresql://stockade@{url}").connect()
        assert await found.fetchval("SELECT inet_client_addr()") is None
        await found.close()
    path = next(mariadb.folder.rglob("socket"))
    other = await MySQLAddress.parse(f"mariadb://stockade@nowhere/stockade?unix_socket={path}").connect()
    assert "UNIX" in other.host_info
    await other.ensure_closed()


CODES = {
    Failure.LOST: ["08006", "57P03", "25006", "53300", "26000", 1040, 1203, 1129, 1290, 2013, 1114, 1021, "53100"],
    Failure.REFUSED: ["28P01", "28000", "3D000", "42501", 1045, 1044, 1049, 1142],
    Failure.DUPLICATE: ["23505", 1062],
    Failure.OTHER: ["42P01", 1146],
}


@pytest.mark.parametrize("kind", CODES)
def test_codes(kind):
    """Each code of a server has one kind, whatever wraps it."""
    from asyncmy.errors import OperationalError
    from asyncpg import PostgresError
    from sqlalchemy.exc import DBAPIError

    for code in CODES[kind]:
        error = PostgresError.new({"C": code, "M": "m"}) if isinstance(code, str) else OperationalError(code, "m")
        assert classify(error) is kind, code
        assert classify(DBAPIError("SELECT 1", None, error)) is kind, code
        assert describe(DBAPIError("SELECT 1", None, error)).startswith("m"), code


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(
            "unable to perform operation on <TCPTransport closed=True reading=False 0x55>; the handler is closed"
        ),
        RuntimeError("Transport does not expose socket instance"),
        struct.error("unpack requires a buffer of 2 bytes"),
        asyncio.IncompleteReadError(b"", 4),
        ConnectionResetError(),
    ],
)
def test_errors_without_a_code(error):
    """What drivers and loops raise without a code when a connection is gone is LOST; any other error is not."""
    assert classify(error) is Failure.LOST
    assert classify(RuntimeError("another")) is Failure.OTHER
    assert classify(ValueError("another")) is Failure.OTHER
