"""The shop's commands through the real store: races of real transactions, then the audit."""

import asyncio
from collections import Counter

from stockade.core import Guard
from stockade.shop import queries
from stockade.shop.audit import audit, summary
from stockade.shop.commands import (
    AdjustStock,
    CancelOrder,
    ChargePoints,
    CreateProduct,
    ExpireOrder,
    NewSku,
    OrderLine,
    PayOrder,
    PlaceOrder,
    SetCartItem,
)
from stockade.shop.migrations import SCHEMA
from tests.shop.conftest import soon
from tests.shop.runner import GUARDS, Runner


async def under_each_guard(database):
    """A runner for each guard that the database has, each on a fresh shop: 20 of `a`, 20 of `b`, a rich user `u`."""
    for guard in GUARDS:
        runner = Runner(database, guard)
        if runner.store.supports(guard.kind):
            await database.transaction(wipe, deadline=soon())
            await stocked(runner)
            yield runner


def wipe(conn):
    """Empty every table."""
    for table in reversed(SCHEMA.tables):
        conn.execute(table.delete())


async def stocked(runner):
    """Two SKUs and one account."""
    for sku in ("a", "b"):
        await runner.execute(CreateProduct(*runner.head(), sku, "things", (NewSku(1000, 20, sku),), f"p-{sku}"))
    await runner.execute(ChargePoints(*runner.head(), "u", 1_000_000))


def place(runner, *lines, user="u", pay="POINTS"):
    """An order."""
    return PlaceOrder(*runner.head(), user, tuple(OrderLine(*line) for line in lines), pay, 60_000)


def codes(answers):
    """How often each outcome was returned."""
    return Counter("ACCEPTED" if answer.accepted else answer.code for answer in answers)


async def clean(runner):
    """The audit's verdict and figures."""
    assert await runner.database.read(audit) == []
    return await runner.database.read(summary)


async def test_thirty_orders_of_twenty_units(database):
    """The Kotlin report's reference test: 20 accepted, 10 out of stock, nothing left, nobody charged for nothing."""
    async for shop in under_each_guard(database):
        answers = await shop.all([place(shop, ("a", 1)) for _ in range(30)])
        assert codes(answers) == {"ACCEPTED": 20, "OUT_OF_STOCK": 10}
        found = await clean(shop)
        assert (found.sold, found.left, found.orders, found.balance) == (20, 20, {"PAID": 20}, 980_000)


async def test_orders_over_two_skus_in_both_directions(database):
    """Baskets that name the same SKUs in opposite order all get what there is."""
    async for shop in under_each_guard(database):
        lines = [("a", 1), ("b", 1)]
        answers = await shop.all([place(shop, *(lines if n % 2 else lines[::-1])) for n in range(24)])
        assert codes(answers) == {"ACCEPTED": 20, "OUT_OF_STOCK": 4}
        assert (await clean(shop)).left == 0


async def test_one_double_click_and_three_intents(database):
    """The same charge ten times at once is one; three charges at once are three."""
    async for shop in under_each_guard(database):
        tap = ChargePoints(*shop.head(), "new", 100)
        answers = await shop.all([tap] * 10)
        assert {answer.data["balance"] for answer in answers} == {100}
        assert sum(not answer.replayed for answer in answers) == 1
        await shop.all([ChargePoints(*shop.head(), "new", 100) for _ in range(3)])
        assert (await shop.database.read(lambda c: queries.points(c, "new"))).balance == 400
        await clean(shop)


async def test_paying_cancelling_and_expiring_at_once(database):
    """Ten reservations, each paid twice, cancelled and expired at the same moment: every one ends in one legal way."""
    async for shop in under_each_guard(database):
        orders = [await shop.execute(place(shop, ("a", 1), ("b", 1), pay="LATER")) for _ in range(10)]
        ids = [order.data["order_id"] for order in orders]
        late_ms = shop.now_ms + 60_000
        rush = []
        for order_id in ids:
            rush += [PayOrder(*shop.head(), order_id, "u") for _ in range(2)]
            rush.append(CancelOrder(*shop.head(), order_id, "u", "no"))
            rush.append(ExpireOrder.due(order_id, late_ms, late_ms))
        answers = await shop.all(rush)
        for n in range(0, len(rush), 4):
            paid, again, cancelled, expired = (answer.accepted for answer in answers[n : n + 4])
            assert not (paid and again)
            assert expired + cancelled <= 1
            assert expired + cancelled + paid + again >= 1
        found = await clean(shop)
        assert found.sold == 2 * found.orders.get("PAID", 0)
        assert found.reserved == 0


async def test_everything_at_once(database):
    """Orders, payments, cancels, charges, adjustments and carts side by side: the audit finds nothing."""
    async for shop in under_each_guard(database):
        reserved = [(await shop.execute(place(shop, ("b", 1), pay="LATER"))).data["order_id"] for _ in range(6)]
        bought = [(await shop.execute(place(shop, ("a", 1), ("b", 1)))).data["order_id"] for _ in range(4)]
        commands = [
            *(place(shop, ("a", 1), ("b", 1)) for _ in range(8)),
            *(place(shop, ("a", 2), pay="LATER", user="v") for _ in range(4)),
            *(PayOrder(*shop.head(), order_id, "u") for order_id in reserved),
            *(CancelOrder(*shop.head(), order_id, None, "recall") for order_id in bought),
            *(ChargePoints(*shop.head(), user, 500) for user in ("u", "v", "w", "u", "v", "w")),
            *(AdjustStock(*shop.head(), "a", delta, "count") for delta in (3, 1, 2)),
            *(SetCartItem(*shop.head(), "u", sku, 2) for sku in ("a", "b")),
        ]
        answers = await asyncio.wait_for(shop.all(commands), 60)
        assert all(answer.accepted for answer in answers)
        found = await clean(shop)
        assert found.left + found.sold + found.reserved == 46


async def test_a_batch_is_like_one_after_the_other(database):
    """Fifty mixed commands in one transaction, with repeats and with some that need more rows."""
    shop = Runner(database)
    await stocked(shop)
    ids = [(await shop.execute(place(shop, ("b", 1), pay="LATER"))).data["order_id"] for _ in range(5)]
    orders = [place(shop, ("a", 1)) for _ in range(30)]
    pays = [PayOrder(*shop.head(), order_id, "u") for order_id in ids[:3]]
    late_ms = shop.now_ms + 60_000
    ends = [CancelOrder(*shop.head(), ids[3], "u", "no"), ExpireOrder.due(ids[4], late_ms, late_ms)]
    answers = await shop.batch([*orders, *orders[:5], *pays, pays[0], place(shop, ("b", 1)), *ends])
    assert codes(answers[:30]) == {"ACCEPTED": 20, "OUT_OF_STOCK": 10}
    assert [answer.accepted for answer in answers[:20]] == [True] * 20
    assert all(answer.replayed for answer in answers[30:35])
    assert [answer.accepted for answer in answers[35:]] == [True] * 7
    found = await clean(shop)
    assert (found.sold, found.reserved) == (24, 0)


async def test_a_used_product_id_is_a_conflict(database):
    """Known SKUs answer PRODUCT_CONFLICT; the existing product stays."""
    shop = Runner(database)
    await stocked(shop)
    answer = await shop.execute(CreateProduct(*shop.head(), "x", "y", (NewSku(1, 1, "a"),), "p-a"))
    assert answer.code == "PRODUCT_CONFLICT"
    assert (await clean(shop)).skus == 2


async def test_without_a_guard_the_audit_finds_the_damage(database):
    """The control: the same thirty orders under NONE, and the audit says what was lost."""
    shop = Runner(database, Guard.NONE)
    await stocked(shop)
    for _ in range(10):
        await shop.all([place(shop, ("a", 1)) for _ in range(30)])
        found = {violation.rule for violation in await shop.database.read(audit)}
        if found:
            assert found & {"ledger-sum", "repeated-version", "oversold", "overspent"}
            return
        await shop.execute(AdjustStock(*shop.head(), "a", 20, "next attempt"))
    raise AssertionError("ten unprotected runs and nothing was lost")
