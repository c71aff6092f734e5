"""Ten payers of one order under every strategy: one approval. `unprotected` is the negative control."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import pytest
from sqlalchemy import text

from stockade.core import StockadeError
from stockade.shop.bootstrap import open_worker
from stockade.shop.config.settings import Settings
from stockade.strategies import registry
from stockade.testing.rendezvous import Rendezvous
from tests.payments.checkout import PRICE, create_schema, open_checkout, status_of

PAYERS = 10
GUARDED = [name for name in registry.names() if not registry.guarantees(name).may_oversell]
EMBEDDED = [name for name in GUARDED if not registry.guarantees(name).needs]
OVER_REDIS = [name for name in GUARDED if "redis" in registry.guarantees(name).needs]


def strategies(name, **more):
    """The settings that choose one strategy for everything."""
    return {**dict.fromkeys(("strategy_stock", "strategy_points", "strategy_payment"), name), **more}


async def ten_payers(checkout):
    """An order, and how the requests of ten devices to pay it ended."""
    order = await checkout.order()
    checkout.judge.behave(latency_s=0.02)
    each = (checkout.pay(order, f"device-{number}") for number in range(PAYERS))
    ends = await asyncio.gather(*each, return_exceptions=True)
    assert all(not isinstance(end, BaseException) or isinstance(end, StockadeError) for end in ends), ends
    return order, Counter(status_of(end) if not isinstance(end, BaseException) else end.code for end in ends)


async def one_approval(checkout, name):
    """One payer is charged; nobody else, and nobody learns that it may be charged."""
    order, ends = await ten_payers(checkout)
    assert ends.pop("APPROVED", 0) == 1, (name, ends)
    assert set(ends) <= {"PAYMENT_IN_PROGRESS", "ALREADY_PAID", "CONFLICT_RETRY", "LOCK_TIMEOUT"}, (name, ends)
    assert checkout.approved(order) == [PRICE], name
    assert not await checkout.unequal(), name


async def test_one_approval_under_every_strategy(database_url, judge, gateway_url):
    """Whatever protects the rows, one claim is accepted."""
    kind = database_url.partition(":")[0].partition("+")[0].replace("postgresql", "postgres")
    new = True
    for name in EMBEDDED:
        if kind not in registry.guarantees(name).databases:
            continue
        async with open_checkout(database_url, judge, gateway_url, new=new, **strategies(name)) as checkout:
            await one_approval(checkout, name)
        new = False


@pytest.mark.parametrize("name", [OVER_REDIS[0]])
async def test_one_approval_under_a_lock_server(name, postgres_database, redis_url, judge, gateway_url):
    """A lock server orders the claims, and one is accepted."""
    options = strategies(name, redis=redis_url)
    async with open_checkout(postgres_database, judge, gateway_url, **options) as checkout:
        await one_approval(checkout, name)


async def test_under_kafka_the_service_asks_and_no_worker(kafka_bootstrap, tmp_path, judge, gateway_url):
    """The worker decides claims and answers; the process of the request asks the gateway."""
    url, topic = f"sqlite:///{tmp_path / 'stockade.sqlite'}", f"payments-{tmp_path.name}"
    chosen = strategies("kafka", kafka_bootstrap=kafka_bootstrap, kafka_topic=topic, kafka_partitions=1)
    async with AsyncExitStack() as stack:
        settings = Settings(database=url, **chosen)
        worker = await stack.enter_async_context(open_worker(settings, lambda *_, **__: None, before=create_schema))
        stop = asyncio.Event()
        running = asyncio.create_task(worker.run(stop))
        try:
            async with open_checkout(url, judge, gateway_url, **chosen) as checkout:
                await one_approval(checkout, "kafka")
        finally:
            stop.set()
            await running


class Meeting:
    """A checkpoint at which the claims of all payers meet, once it is armed: each has read before any has written."""

    def __init__(self):
        self.rendezvous = None

    def __call__(self, point):
        if self.rendezvous is not None:
            self.rendezvous(point)


@pytest.mark.parametrize("nets", ["unique reference", "none"])
async def test_the_control_without_protection_charges_several(postgres_database, judge, gateway_url, nets):
    """All ten read the order before any writes it. What is left then is the unique reference; without it all pay."""
    meeting = Meeting()
    options = strategies("unprotected", allow_overselling="yes", pool_size=PAYERS)
    async with open_checkout(postgres_database, judge, gateway_url, checkpoint=meeting, **options) as checkout:
        judge.behave(keyed=False)
        if nets == "none":
            drop = "ALTER TABLE payment_attempts DROP CONSTRAINT uq_payment_attempts_reference"
            until = asyncio.get_running_loop().time() + 5
            await checkout.shop.database.transaction(lambda conn: conn.execute(text(drop)), deadline=until)
        meeting.rendezvous = Rendezvous(PAYERS + 1)  # and the order
        order, ends = await ten_payers(checkout)
        assert meeting.rendezvous.met
        if nets == "none":
            assert len(checkout.approved(order)) > 1, ends
        else:
            assert checkout.approved(order) == [PRICE], ends
