"""Connections that are being ended: whatever happens to the task that ends them, no socket stays open."""

import asyncio
import gc
import warnings
from contextlib import closing

import pytest
from sqlalchemy import text

from stockade.store import Database
from stockade.store.engine.pools import Pool
from tests.locks.bounds import Link
from tests.store.conftest import soon

KINDS = [pytest.param("postgres", marks=pytest.mark.postgres), pytest.param("mariadb", marks=pytest.mark.mariadb)]
TURNS = range(5)  # of the loop, after which it ends: before, while and after the farewells begin


def one(connection):
    return connection.execute(text("SELECT 1")).scalar_one()


async def closing_for(url, link, turns):
    """The sockets of a database whose closing goes on after so many turns of the loop; the server receives nothing."""
    database = await Database.open(url)
    assert await database.read(one) == await database.transaction(one, deadline=soon()) == 1
    pools = (database._backend._writers, database._backend._readers)
    sockets = [driver._transport.get_extra_info("socket") for pool in pools for driver in pool._open]
    assert len(sockets) >= len(pools)
    link.swallow()
    asyncio.create_task(database.close())  # noqa: RUF006 - what the end of the loop does to it is the question
    for _ in range(turns):
        await asyncio.sleep(0)
    return sockets


def left_over(server, turns):
    """How many sockets are open when the loop has ended."""
    with closing(Link(server.port)) as link:
        sockets = asyncio.run(closing_for(server.url.replace(f":{server.port}", f":{link.port}"), link, turns))
        still_open = [each for each in sockets if each.fileno() >= 0]
        for each in still_open:
            each._sock.close()
        return len(still_open)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cancelled_farewell_leaves_no_socket(kind, servers):
    """The loop ends at any moment while a database is closed, also before its farewells begin: every socket is
    closed."""
    server = getattr(servers, kind)()
    assert [left_over(server, turns) for turns in TURNS] == [0] * len(TURNS)


@pytest.mark.parametrize("kind", KINDS)
def test_without_the_last_look_sockets_stay(kind, servers, monkeypatch):
    """The control: a pool that only forgets a farewell which was cancelled leaves sockets open."""
    monkeypatch.setattr(Pool, "_ended", lambda self, _driver, task: self._ending.discard(task))
    server = getattr(servers, kind)()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # transports that nobody closes say so when they are collected
        assert any(left_over(server, turns) for turns in TURNS)
        gc.collect()
