"""Faults of Kafka really disturb it, and heal: the broker, the link to it, the position of a partition."""

import asyncio
from functools import partial

import pytest

from stockade.core import Busy
from stockade.kafka.admin import Admin
from stockade.lab.faults import FAULTS, needs_of
from stockade.lab.site.site import open_site
from stockade.service import find_application
from stockade.shop.application import PATH
from stockade.store import Database
from stockade.store.consumer_offsets import ConsumerOffsets
from tests.lab.faults.disturbed import disturbed_on
from tests.waiting import eventually_async

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
TOPIC, ANSWER_S = "faults", 1.0


async def answers(site):
    """Whether a client reaches the broker at the address that it advertises."""
    try:
        await asyncio.to_thread(Admin(site.bootstrap, ANSWER_S).offset_ranges, TOPIC)
    except Busy:
        return False
    return True


async def test_a_broker_that_is_killed_and_positions_that_go_back():
    """Nothing is answered until it is healed, by a broker that is down or refused by the link; offsets become 0."""
    faults = tuple(FAULTS[name] for name in ("broker-kill", "refuse-kafka", "replay"))
    async with open_site("sqlite", needs_of(faults), kafka=True) as site, disturbed_on(site, workers=1) as disturbed:
        await asyncio.to_thread(Admin(site.bootstrap).create_topic, TOPIC, 1, 1, {})
        for fault in faults[:2]:
            await fault.inject(disturbed)
            assert not await answers(site)
            await fault.heal(disturbed)
            await fault.heal(disturbed)
            await eventually_async(partial(answers, site), 20.0)
        application = find_application(PATH)
        database = await Database.open(site.admin_url, pool_size=1, tables=application.tables)
        try:
            await application.schema.create_all(database)
            offsets = ConsumerOffsets(database, TOPIC)
            await offsets.take(0, 7)
            assert await faults[2].inject(disturbed) == ["partition 0 from 7"]
            assert await offsets.read() == {0: 0}
            assert not await faults[2].inject(disturbed)
        finally:
            await database.close()
        await FAULTS["worker-kill"].inject(disturbed)
        assert disturbed.workers.signalled[1] == "committed"
        await FAULTS["worker-kill"].heal(disturbed)
        assert disturbed.workers.states == "S"
