"""kill -9 at every fault point of a payment and of a refund: afterwards the gateway's count is the database's."""

import asyncio
import signal

import pytest

from stockade.devservers import drop_database, fresh_database
from tests.payments.checkout import PRICE, open_checkout
from tests.payments.killed import POINTS, Task, start

DATABASES = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(params=DATABASES)
async def shop(request, server_url, tmp_path):
    """A database that other processes can use, and a gateway: a file and Stripe, a server and Toss."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'stockade.sqlite'}", "stripe"
        return
    server = server_url(request.param)
    url = await fresh_database(server)
    try:
        yield url, "toss"
    finally:
        await drop_database(server, url)


async def killed(tasks):
    """Run these processes at the same time; each must have been killed at its fault point."""
    running = [start(task) for task in tasks]
    for process, task in zip(running, tasks, strict=True):
        await asyncio.to_thread(process.join, 60)
        assert process.exitcode == -signal.SIGKILL, (task, process.exitcode)


async def test_killed_at_every_step(judge, gateway_url, shop):
    """A payment, a refund and a reconciliation, each killed at each step: all is finished once by another process."""
    url, dialect = shop
    async with open_checkout(url, judge, gateway_url, dialect=dialect) as checkout:
        paid = {point: await checkout.order() for point in POINTS}
        cancelled = {f"refund-{point}": await checkout.order() for point in POINTS}
        for order in cancelled.values():
            await checkout.pay(order)
        made = [("pay", paid), ("cancel", cancelled)]
        common = (url, gateway_url, dialect)
        await killed([Task(*common, order, does, point) for does, orders in made for point, order in orders.items()])
        judge.behave(outage=True)
        left = await checkout.order()
        await checkout.pay(left)
        judge.behave(outage=False)
        await killed([Task(*common, left, "reconcile", "after-ask")])
        await checkout.reconcile()
        assert {await checkout.status(order) for order in (*paid.values(), left)} == {"PAID"}
        assert [checkout.approved(order) for order in (*paid.values(), left)] == [[PRICE]] * (len(paid) + 1)
        assert {await checkout.status(order) for order in cancelled.values()} == {"CANCELLED"}
        assert [checkout.refunded(order) for order in cancelled.values()] == [[PRICE]] * len(cancelled)
        assert not await checkout.unequal()


async def test_the_control_without_a_claim_loses_money(judge, gateway_url, tmp_path):
    """Asking before claiming, killed after the answer: the buyer is charged, and no book knows it."""
    url = f"sqlite:///{tmp_path / 'stockade.sqlite'}"
    async with open_checkout(url, judge, gateway_url) as checkout:
        order = await checkout.order()
        await killed([Task(url, gateway_url, "toss", order, "ask without a claim", "after-ask")])
        await checkout.reconcile()
        assert (await checkout.status(order), checkout.approved(order)) == ("RESERVED", [PRICE])
        assert await checkout.unequal() == [(f"{order}-1", "not recorded")]
