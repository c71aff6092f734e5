"""A process whose name server never answers: `python -m tests.drivers.silent_names WAY…` tries them, and says how each
one went: `way scheme seconds error`."""

import asyncio
import socket
import sys
import threading
import time

import asyncmy
import asyncpg
import uvloop

from stockade.cli import app
from stockade.locks import MySQLLocks, PostgresLocks, aio
from stockade.store import Database

LIMIT_S = 0.7
NAME = "silent.example"
LOCKS = {"postgresql": (PostgresLocks, aio.PostgresLocks), "mariadb": (MySQLLocks, aio.MySQLLocks)}
_look_up = socket.getaddrinfo


def _silent(host, port, family=0, type=0, proto=0, flags=0):  # noqa: A002 - as `socket.getaddrinfo`
    if host == NAME and not flags & socket.AI_NUMERICHOST:
        threading.Event().wait()
    return _look_up(host, port, family, type, proto, flags)


async def store(scheme, url):
    await (await Database.open(url)).close()


async def store_uvloop(scheme, url):
    assert isinstance(asyncio.get_running_loop(), uvloop.Loop)
    await store(scheme, url)


async def task_locks(scheme, url):
    async with LOCKS[scheme][1](url) as locks, locks.lock("a").hold(timeout=LIMIT_S):
        pass


def thread_locks(scheme, url):
    with LOCKS[scheme][0](url) as locks, locks.lock("a").hold(timeout=LIMIT_S):
        pass


def command_line(_scheme, url):
    app(["migrate", "--database", url])


async def driver(scheme, _url):
    connect = asyncpg.connect if scheme == "postgresql" else asyncmy.connect
    await asyncio.wait_for(connect(host=NAME, user="u", database="d"), LIMIT_S)


def _say(way, scheme, began, error):
    sys.stdout.write(f"{way.__name__} {scheme} {time.monotonic() - began:.2f} {type(error).__name__} {error}\n")
    sys.stdout.flush()


def main(*ways):
    socket.getaddrinfo = _silent
    for way in map(globals().get, ways):
        for scheme in LOCKS:
            url, began = f"{scheme}://u@{NAME}/d?connect_timeout={LIMIT_S}", time.monotonic()

            async def work(way=way, scheme=scheme, url=url, began=began):
                try:
                    await way(scheme, url)
                except Exception as error:  # noqa: BLE001 - the test reads which one
                    _say(way, scheme, began, error)  # before the loop ends: that may hang

            if asyncio.iscoroutinefunction(way):
                with asyncio.Runner(loop_factory=uvloop.new_event_loop if way is store_uvloop else None) as runner:
                    runner.run(work())
                continue
            try:
                way(scheme, url)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - as above
                _say(way, scheme, began, error)


if __name__ == "__main__":
    main(*sys.argv[1:])
