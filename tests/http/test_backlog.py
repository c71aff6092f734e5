"""What waits in the outbox is a metric: queried rarely, bounded, and no reason for /metrics to fail."""

import math

import pytest

from stockade.core import Busy
from stockade.shop.commands import ExpireOrder
from stockade.shop.operations.backlog import KEEP_S
from stockade.shop.queries.due import due
from stockade.shop.sales import SalesJob
from stockade.store.outbox import Outbox
from tests.http.test_operations import Clock, samples


@pytest.fixture
async def client(start):
    """A client of a service that sends events; its relay does not run here."""
    async with start(events="log") as made:
        made.state.backlog._clock = made.clock = Clock()
        made.state.backlog._next_s = made.clock.now_s
        yield made


async def test_events_that_wait_are_counted(client):
    """An order leaves two events, its own and its stock's, a new SKU one: counted, with the age of the oldest."""
    (sku,) = await client.product(stock=5)
    for _ in range(3):
        await client.order(sku, pay="LATER")
    found = await samples(client)
    assert (found["stockade_events", "waiting"], found["stockade_events", "dead"]) == (1 + 3 * 2, 0)
    assert 0 <= found["stockade_events_oldest_seconds", "waiting"] < 60


async def test_jobs_that_fall_behind_are_timed(client):
    """An order that nobody counts and a reservation that nobody ends have waited for so long; done, for 0 s."""
    backlog, shop = client.state.backlog, client.state.shop
    (sku,) = await client.product(stock=5)
    sales = SalesJob(shop.database, backlog._wall_clock_ms)
    await sales.once()
    await client.order(sku, pay="LATER")
    assert (await behind(client))["sweep"] == 0
    (reserved,) = await shop.database.read(lambda conn: due(conn, now_ms=2**53))
    backlog._wall_clock_ms = lambda: reserved.reserved_until_ms + 90_000
    late = await behind(client)
    assert late["sweep"] == 90
    assert late["sales"] > 90
    await shop.execute(ExpireOrder.due(reserved.order_id, reserved.reserved_until_ms, backlog._wall_clock_ms()))
    await sales.once()
    assert await behind(client) == {"sales": 0, "sweep": 0}


async def behind(client):
    """By job, asked anew."""
    client.clock.now_s += KEEP_S
    return {labels[0]: value for (name, *labels), value in (await samples(client)).items() if "job_behind" in name}


async def test_the_database_is_queried_once_in_a_while(client, monkeypatch):
    """However often /metrics is read, the question is put every few seconds only, and then anew."""
    queries, plain = [], Outbox.lag

    async def lag(self):
        queries.append(True)
        return await plain(self)

    monkeypatch.setattr(Outbox, "lag", lag)
    (sku,) = await client.product(stock=5)
    await client.order(sku, pay="LATER")
    for _ in range(5):
        assert (await samples(client))["stockade_events", "waiting"] == 1 + 2
        await client.order(sku, pay="LATER")
    assert len(queries) == 1
    client.clock.now_s += KEEP_S
    assert (await samples(client))["stockade_events", "waiting"] == 1 + 5 * 2 + 1  # the sixth was refused
    assert len(queries) == 2


async def test_a_figure_that_cannot_be_had_is_no_number(client, monkeypatch):
    """A database that is away costs its figures, never the answer, and nothing old is shown for new."""
    await samples(client)

    async def lag(self):
        raise Busy("away", "DEPENDENCY_DOWN")

    monkeypatch.setattr(Outbox, "lag", lag)
    client.clock.now_s += KEEP_S
    found = await samples(client)
    assert math.isnan(found["stockade_events", "waiting"])
    assert math.isnan(found["stockade_events_oldest_seconds", "waiting"])
    assert found["stockade_waiting", "at_work"] == 0


async def test_where_events_are_only_kept_nothing_waits(start):
    """Without a sink the outbox is an archive: its size is no backlog, and is not queried."""
    async with start() as client:
        (sku,) = await client.product(stock=5)
        await client.order(sku, pay="LATER")
        assert not [name for name, *_ in await samples(client) if name.startswith(("stockade_events", "stockade_log"))]
