"""Processes killed between the commit, the send and the note of it; and the reports' way as the control that loses."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from stockade.core import Guard
from stockade.devservers import drop_database, fresh_database
from stockade.store.outbox import Outbox
from tests.relay.conftest import NOW_MS, Clock, Memory, buy, drain, events_of, first_deliveries, relay_over
from tests.store.commands import Take, rid
from tests.store.conftest import opened, soon, stocked

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def url(request, server_url, tmp_path):
    """A database that other processes can open too."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'stockade.sqlite'}"
        return
    server = server_url(request.param)
    fresh = await fresh_database(server)
    try:
        yield fresh
    finally:
        await drop_database(server, fresh)


async def killed(what, url, file, number):
    """Run a child that kills itself; it must have got there."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.relay.child", what, url, str(file), str(number), cwd=ROOT
    )
    assert await asyncio.wait_for(child.wait(), 30) == -signal.SIGKILL


def delivered(file):
    """What arrived in the file: pairs of key and event id."""
    return [tuple(line.split()) for line in file.read_text().splitlines()] if file.exists() else []


async def test_a_killed_relay_loses_and_reorders_nothing(url, tmp_path):
    """Killed after it sent 7 events and noted none: the next one sends them again, and all others, in order."""
    file = tmp_path / "sent"
    async with opened(url) as database:
        await Outbox(database).open()
        store = await stocked(database, "a", n=1000)
        await buy(store, range(30), skus=("a",))
        ids = events_of(range(30), skus=("a",))["stock:a"]
        await killed("relay", url, file, 7)
        assert [id_ for _, id_ in delivered(file)] == ids[:7]
        sink, clock = Memory(), Clock()
        relay = relay_over(database, sink, clock, ttl_s=10)
        assert await relay.once() is None  # the lease of the killed relay is not over yet
        clock.ms += 11_000
        await drain(relay)
        arrived = [id_ for _, id_ in delivered(file)] + [event.event_id for event in sink.got]
        assert len(arrived) == 7 + 32
        assert first_deliveries(arrived) == ids


async def test_publishing_after_the_commit_loses_events(url, tmp_path):
    """The control: killed between commit and send, the reports' form has an order whose event nobody ever sends."""
    file = tmp_path / "sent"
    async with opened(url) as database:
        await Outbox(database).open()
        store = await stocked(database, "a", n=1000)
        await killed("after-commit", url, file, 4)
        (answer,) = await store.transact([Take(rid("buy", 4), skus=("a",))], Guard.ROW, deadline=soon())
        assert answer.replayed, "the order was committed"
        ids = [f"{rid('buy', n)}:0" for n in range(5)]
        assert [id_ for _, id_ in delivered(file)] == ids[:4], "and its event is lost"
        sink = Memory()
        await drain(relay_over(database, sink))
        everything = events_of(*([n] for n in range(5)), skus=("a",))["stock:a"]
        assert [event.event_id for event in sink.got] == everything, "while the outbox has it"
        assert sink.got[0].created_ms < NOW_MS
