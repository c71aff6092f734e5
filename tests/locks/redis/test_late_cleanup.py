"""What is left to do when the time of an acquire is over: its caller waits for a bounded part of it."""

import asyncio
import time

import pytest
from sqlalchemy.engine import make_url

from stockade.devservers.tcp_proxy import TcpProxy
from stockade.locks import multi_lock
from stockade.locks.aio import RedisLocks
from stockade.locks.redis import backend
from tests.waiting import eventually_async

TIMEOUT_S = 0.2
RELEASE_S = 1.0  # of one that the server does not answer, in these tests
MOST_S = 0.8  # of which 0.25 s are planned; the control takes longer
HELD, WANTED = ("late:a", "late:b", "late:c"), "late:d"


async def late_s(redis_url):
    """How long after its deadline an acquire of several locks returns, whose link goes silent while it waits."""
    port = make_url(redis_url).port
    async with (
        TcpProxy(port) as link,
        RedisLocks(redis_url) as other,
        RedisLocks(redis_url.replace(f":{port}", f":{link.port}")) as locks,
        other.lock(WANTED).hold(),
    ):
        began = time.monotonic()
        wanted = asyncio.create_task(locks.multi(*HELD, WANTED).acquire(timeout=TIMEOUT_S))

        async def waits():
            return (await other.inspect(WANTED)).waiters

        await eventually_async(waits)
        link.swallow()
        assert await wanted is None
        late = time.monotonic() - began - TIMEOUT_S
        await link.restore()
        return late


@pytest.fixture(autouse=True)
def slow_releases(monkeypatch):
    """Releases that are waited for a long time."""
    monkeypatch.setattr(backend, "_WITHDRAW_S", RELEASE_S)


async def test_an_acquire_over_a_silent_link(redis_url):
    """It leaves the queue and releases three locks: with one bound for all, then in the background."""
    assert await late_s(redis_url) < MOST_S


async def test_without_one_bound_the_times_add_up(redis_url, monkeypatch):
    """The control: a first release that has its own time after the withdrawal."""
    monkeypatch.setattr(multi_lock, "_UNSEEN_S", 10.0)
    assert await late_s(redis_url) > MOST_S
