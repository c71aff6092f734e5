"""Names of servers: a name server that does not answer holds no call and no process; every address is tried."""

import asyncio
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from stockade.drivers import resolve
from stockade.drivers.mysql import MySQLAddress
from stockade.drivers.postgres import PostgresAddress
from tests.drivers.silent_names import LIMIT_S, LOCKS, NAME

SLACK_S = 1.0  # what a call may take beyond its own limit on a busy machine
END_S = 2.0  # a process that has done its work ends within this time
START_S = 30.0
WAYS = {"store", "store_uvloop", "task_locks", "thread_locks", "command_line"}


def started(*ways):
    command = [sys.executable, "-m", "tests.drivers.silent_names", *ways]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=Path(__file__).parents[2], **pipes)


def test_each_call_ends_and_its_process_too():
    """Store, locks of both faces and command line, on both loops: an error within `connect_timeout`; then the process
    ends, although its look-ups do not."""
    with started(*sorted(WAYS)) as child:
        said, errors = child.communicate(timeout=START_S + len(WAYS) * len(LOCKS) * (LIMIT_S + SLACK_S))
    lines = [line.split(maxsplit=3) for line in said.splitlines()]
    assert {(way, scheme) for way, scheme, *_ in lines} == {(way, scheme) for way in WAYS for scheme in LOCKS}, errors
    assert [line for line in lines if float(line[2]) > LIMIT_S + SLACK_S] == []
    assert [line for line in lines if NAME not in line[3] and line[0] != "command_line"] == []
    assert errors.count(f"{NAME}:") == len(LOCKS), errors  # the command line's one line each
    assert child.returncode == 0


def test_the_drivers_alone_hold_their_process():
    """The control: a driver by itself gives up in time, too, but its process does not end."""
    with started("driver") as child:
        assert child.stdout.readline().startswith("driver postgresql")
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(END_S)
        child.kill()


@pytest.fixture
def named(monkeypatch):
    """Function: the URL of a server under a name that has a refusing address before the right one; and the
    look-ups of the name."""
    asked = []

    def ask(host, port, flags):
        if flags:
            raise socket.gaierror("it is a name")
        asked.append(host)
        return [resolve.SocketAddress(socket.AF_INET, (address, port)) for address in ("127.0.0.2", "127.0.0.1")]

    monkeypatch.setattr(resolve, "_ask", ask)
    return lambda url: make_url(url).set(host="db.example").render_as_string(hide_password=False), asked


async def test_the_next_address_of_a_name_is_tried(named, postgres_url, mariadb_url):
    """The first address refuses: the second one is connected to, of both kinds of server."""
    url, asked = named
    found = await PostgresAddress.parse(url(postgres_url)).connect()
    await found.close()
    other = await MySQLAddress.parse(url(mariadb_url)).connect()
    await other.ensure_closed()
    assert asked == ["db.example"] * 2


async def test_a_request_to_cancel_needs_no_name_server(named, postgres_url):
    """A statement that is given up is cancelled at the address of its connection, which nobody looks up again."""
    url, asked = named
    connection = await PostgresAddress.parse(url(postgres_url)).connect()
    try:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            await connection.execute("SELECT pg_sleep(30)", timeout=0.1)
        assert await asyncio.wait_for(connection.fetchval("SELECT 1"), 5) == 1  # the server has answered
        assert time.monotonic() - began < 10
        assert asked == ["db.example"]
    finally:
        await connection.close()
