"""The relay as a part of the shop: on the embedded default, and what its settings need."""

import json

from stockade.service import Handlers
from stockade.service.purge import EventPurge
from stockade.service.relay.relaying import relaying
from stockade.shop.bootstrap import open_shop
from stockade.shop.commands import ChargePoints
from stockade.shop.config.settings import Settings
from stockade.shop.database_checks import ensure_schema
from stockade.shop.operations import logs
from stockade.shop.sinks import sink_of
from stockade.store.outbox import Outbox
from tests.relay.conftest import NOW_MS, Clock, buy
from tests.store.commands import rid
from tests.waiting import eventually_async


async def test_the_embedded_shop_relays_into_its_log(tmp_path, capsys):
    """With `events = log` and nothing else: a charge is a line of the log, and its event is confirmed."""
    settings = Settings(state_dir=str(tmp_path), events="log")

    async def schema(database):
        await ensure_schema(settings, database)

    logs.configure(settings)
    async with open_shop(settings, before=schema) as shop:
        outcome = await shop.execute(ChargePoints(rid("c"), "f", NOW_MS, "u", 100))
        assert outcome.accepted
        watch = Outbox(shop.database)

        async def confirmed():
            return (await watch.lag()).waiting == 0

        await eventually_async(confirmed)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    (told,) = [line for line in lines if line["event"] == "event"]
    assert (told["id"], told["kind"], told["key"]) == (f"{rid('c')}:0", "points.charged", "points:u")


async def test_confirmed_events_are_forgotten_in_time(store):
    """The purge keeps what is younger than its time."""
    clock, seen = Clock(), []

    async def see(event):
        seen.append(event)

    await buy(store, range(10))
    watch = Outbox(store.database)

    async def confirmed():
        return (await watch.lag()).waiting == 0

    async with relaying(store.database, Handlers(see), clock.wall_clock_ms):
        await eventually_async(confirmed)
    assert len(seen) == 4 + 10 + 4  # the SKUs made, the orders, and the levels that they left
    clock.ms = NOW_MS + 1004
    purge = EventPurge(store.database, clock.wall_clock_ms, kept_ms=1000)
    assert await purge.once() == {"deleted": 4 + 4}


def test_events_are_kept_by_default():
    """Without a sink nothing is relayed; into the log it is."""
    assert sink_of(Settings()) is None
    assert sink_of(Settings(events="log")) is not None
