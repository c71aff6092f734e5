"""Sums of sales: equal to the orders, counted once by however many processes, and nothing that commits late is lost."""

import asyncio
from random import Random

import msgspec
import pytest
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.util import await_only

from stockade.shop import queries
from stockade.shop.audit import audit
from stockade.shop.commands import CancelOrder, ChargePoints, CreateProduct, NewSku, OrderLine, PayOrder, PlaceOrder
from stockade.shop.migrations import SCHEMA
from stockade.shop.model.tables import (
    order_lines,
    orders,
    product_sales,
    sales_progress,
    sales_windows,
    window_sales,
)
from stockade.shop.sales import SalesJob
from stockade.shop.sales import job as module
from stockade.shop.sales.changes import COUNTED_KINDS
from stockade.shop.sales.hours import HOUR_MS, KEPT_DAYS, hour_of, window_start
from stockade.shop.sales.job import count_events
from stockade.shop.sales.progress import claim, progress_of
from stockade.store import Database
from stockade.store.schema.tables import outbox
from stockade.store.settled_events import Settled, settled_events
from tests.shop.conftest import soon
from tests.shop.runner import Runner
from tests.waiting import eventually_async

DAY_MS = 24 * HOUR_MS


class Newest:
    """Takes every id that is committed for a settled one, at once: what a reader does that does not think of others."""

    def __init__(self, database):
        self.database = database

    async def up_to(self, after):
        newest = select(func.coalesce(func.max(outbox.c.id), 0))
        return Settled(await self.database.read(lambda c: c.execute(newest).scalar_one()), 0)


def job(runner, **options):
    """A job over a runner's database and clock; nobody else writes while it runs, so the newest id is settled."""
    options.setdefault("settled", Newest(runner.database))
    return SalesJob(runner.database, lambda: runner.now_ms, **options)


async def stocked(database, skus=3):
    """A runner whose shop has some SKUs, each with a product of its own, and a rich buyer."""
    runner = Runner(database)
    for number in range(skus):
        sku = (NewSku(100 + number, 1_000_000, f"s{number}"),)
        await runner.execute(CreateProduct(*runner.head(), f"Name {number}", "things", sku, f"p{number}"))
    await runner.execute(ChargePoints(*runner.head(), "u", 900_000_000))
    return runner


async def buy(runner, *lines, pay="POINTS"):
    """An accepted order; its id."""
    wanted = tuple(OrderLine(sku, quantity) for sku, quantity in lines)
    made = await runner.execute(PlaceOrder(*runner.head(), "u", wanted, pay))
    assert made.accepted
    return made.data["order_id"]


async def pay(runner, order_id):
    assert (await runner.execute(PayOrder(*runner.head(), order_id, "u"))).accepted


async def cancel(runner, order_id):
    assert (await runner.execute(CancelOrder(*runner.head(), order_id, "u", ""))).accepted


def orders_summed(conn, from_ms=0):
    """Units and won by hour and product, from the orders."""
    hour = (orders.c.created_ms - orders.c.created_ms % HOUR_MS).label("hour")
    units, won = func.sum(order_lines.c.quantity), func.sum(order_lines.c.quantity * order_lines.c.price)
    rows = conn.execute(
        select(hour, order_lines.c.product_id, units, won)
        .join_from(orders, order_lines, order_lines.c.order_id == orders.c.id)
        .where(orders.c.status == "PAID", orders.c.created_ms >= from_ms)
        .group_by(hour, order_lines.c.product_id)
    )
    return {(row[0], row[1]): (int(row[2]), int(row[3])) for row in rows}


def hours_summed(conn):
    """The same, from the sums."""
    rows = conn.execute(select(product_sales)).all()
    return {(row.hour_ms, row.product_id): (row.quantity, row.revenue) for row in rows if row.quantity}


def windows_summed(conn):
    """The sums of each kept window: those that are kept, and those that its hours give."""
    kept, expected = {}, {}
    hours = hours_summed(conn)
    for days, from_ms, to_ms in conn.execute(select(sales_windows)).all():
        rows = conn.execute(select(window_sales).where(window_sales.c.days == days)).all()
        kept[days] = {row.product_id: (row.quantity, row.revenue) for row in rows if row.quantity}
        expected[days] = {}
        for (hour, product), (units, won) in hours.items():
            if from_ms <= hour < to_ms:
                before = expected[days].get(product, (0, 0))
                expected[days][product] = before[0] + units, before[1] + won
    return kept, expected


async def caught_up(runner, *jobs):
    """Rounds until nothing is left to do, and the check that the sums are those of the orders."""
    for each in jobs or [job(runner)]:
        for _ in range(50):
            if not any((await each.once()).values()):
                break
    database = runner.database
    expected, found = await database.read(orders_summed), await database.read(hours_summed)
    assert found == expected
    kept, of_hours = await database.read(windows_summed)
    assert kept == of_hours
    assert set(kept) == set(KEPT_DAYS)
    return found


async def test_sums_follow_orders(database):
    """Paid at once, paid later, cancelled, unpaid: the sums hold what is PAID, in the hour of the order."""
    runner = await stocked(database)
    once = job(runner)
    await once.once()
    first_hour = hour_of(runner.now_ms)
    bought = await buy(runner, ("s0", 2), ("s1", 1))
    later, never = await buy(runner, ("s1", 4), pay="LATER"), await buy(runner, ("s2", 9), pay="LATER")
    assert await caught_up(runner, once) == {(first_hour, "p0"): (2, 200), (first_hour, "p1"): (1, 101)}
    await pay(runner, later)
    await cancel(runner, never)
    runner.now_ms += HOUR_MS
    await buy(runner, ("s0", 1))
    await cancel(runner, bought)
    found = await caught_up(runner, once)
    assert found == {(first_hour, "p1"): (4, 404), (first_hour + HOUR_MS, "p0"): (1, 100)}


async def test_old_orders_are_added_up_in_bounded_steps(database):
    """A shop that was there before the sums: each round adds up so many orders, and new ones count meanwhile."""
    runner = await stocked(database)
    bought = []
    for _ in range(11):
        bought.append(await buy(runner, ("s0", 1), ("s1", 2)))
        runner.now_ms += HOUR_MS // 3
    later = await buy(runner, ("s2", 5), pay="LATER")
    slow = job(runner, batch=3, max_backfills=1)
    await slow.once()
    progress = await database.read(progress_of)
    assert progress.counted_from_ms > runner.now_ms - 2 * HOUR_MS
    await pay(runner, later)
    await cancel(runner, bought[0])
    await cancel(runner, bought[-1])
    await buy(runner, ("s0", 7))
    await slow.once()
    await caught_up(runner, slow)


async def test_the_audit_compares_once_the_sums_have_caught_up(database):
    """Silent while events wait to be counted and when they are; what a lost event leaves is found."""
    runner = await stocked(database)
    once = job(runner)
    await caught_up(runner, once)
    await buy(runner, ("s0", 1))
    assert await database.read(audit) == []
    await caught_up(runner, once)
    assert await database.read(audit) == []
    await buy(runner, ("s1", 3))
    lose = update(sales_progress).values(position=2**40)
    await database.transaction(lambda c: c.execute(lose), deadline=soon())
    assert [each.detail for each in await database.read(audit)] == [
        f"product:p1 hour {hour_of(runner.now_ms)}: expected 3 units for 303 won, found 0 units for 0 won"
    ]


async def test_what_the_snapshot_shows_beyond_the_position_counts_once(database):
    """Old orders are added up while new events wait to be counted: neither is counted twice."""
    runner = await stocked(database)
    old = await buy(runner, ("s0", 3), pay="LATER")
    settled = Fixed(0, runner)
    once = job(runner, settled=settled)
    await once.once()
    assert (await database.read(progress_of)).position == 0
    await pay(runner, old)
    await buy(runner, ("s1", 2))
    await cancel(runner, await buy(runner, ("s2", 1)))
    await database.transaction(start_over, deadline=soon())
    await once.once()
    assert await database.read(hours_summed) == {}, "nothing stands before the position"
    settled.id = 10**9
    await caught_up(runner, once)


def start_over(conn):
    """As if no order had been counted yet."""
    conn.execute(delete(product_sales))
    conn.execute(delete(window_sales))
    conn.execute(update(sales_progress).values(counted_from_ms=2**62))


class Fixed:
    """Settles what the test says."""

    def __init__(self, id_, runner):
        self.id, self.runner = id_, runner

    async def up_to(self, after):
        return Settled(self.id, self.runner.now_ms)


async def test_several_processes_count_each_event_once(database):
    """Jobs side by side, on connections of their own: one has the claim, the sums are those of the orders."""
    runner = await stocked(database)
    await job(runner).once()
    for _ in range(12):
        await buy(runner, ("s0", 1))
    url = database.url.render_as_string(hide_password=False)
    others = [await Database.open(url) for _ in range(3)]
    try:
        jobs = [SalesJob(each, lambda: runner.now_ms, settled=Newest(each), batch=2) for each in [database, *others]]
        await asyncio.gather(*(each.once() for each in jobs))
    finally:
        for each in others:
            await each.close()
    await caught_up(runner)


async def test_without_the_claim_two_count_twice(postgres_database):
    """The control: both read the position before either moves it, and every unit is there twice."""
    database = await Database.open(postgres_database)
    try:
        await SCHEMA.migrate(database)
        runner = await stocked(database)
        await job(runner).once()
        await buy(runner, ("s0", 1))
        settled = await Newest(database).up_to(None)
        read_position = asyncio.Barrier(2)
        for claimed, units in ((claim, 1), (unclaimed, 2)):
            before = await position(database)
            await asyncio.gather(*(counting(database, settled, claimed, read_position) for _ in range(2)))
            assert (await database.read(hours_summed))[hour_of(runner.now_ms), "p0"] == (units, units * 100)
            if claimed is claim:
                await database.transaction(lambda c, b=before: forget(c, b), deadline=soon())
    finally:
        await database.close()


async def counting(database, settled, claimed, barrier):
    """Count in a transaction of its own; a reader without the claim waits until the other one has read too."""

    def body(conn):
        progress = progress_of(conn)
        await_only(barrier.wait())
        return count_events(conn, settled, 100, lambda c: progress if claimed is unclaimed else claimed(c))

    return await database.transaction(body, deadline=soon())


def unclaimed(conn):
    return progress_of(conn)


def forget(conn, before):
    """Undo the count."""
    conn.execute(delete(product_sales))
    conn.execute(delete(window_sales))
    conn.execute(update(sales_progress).values(position=before))


async def position(database):
    return (await database.read(progress_of)).position


class Killed(Exception):
    """Ends a transaction as a kill does."""


async def test_a_kill_between_sums_and_position_leaves_neither(database, monkeypatch):
    """The sums and the position are one transaction; the control moves them apart and counts twice."""
    runner = await stocked(database)
    await job(runner).once()
    await buy(runner, ("s0", 1))

    def killed(connection, **values):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(module, "move", killed)
        with pytest.raises(Killed):
            await job(runner).once()
        assert await database.read(hours_summed) == {}
    await caught_up(runner)

    settled, progress = await Newest(database).up_to(None), await database.read(progress_of)
    await buy(runner, ("s0", 1))
    settled = await Newest(database).up_to(None)
    with monkeypatch.context() as patch:
        patch.setattr(module, "move", lambda connection, **values: None)  # the sums alone are committed
        await database.transaction(lambda c: count_events(c, settled, 100), deadline=soon())
    await job(runner).once()
    assert (await database.read(hours_summed))[hour_of(runner.now_ms), "p0"] == (3, 300), "the control counts twice"
    assert progress.position < settled.id


async def test_windows_lose_the_hours_that_are_over(database):
    """As time goes on each window holds its own whole hours, and sums that no window needs are deleted."""
    runner = await stocked(database)
    once, chance = job(runner), Random(5)
    await once.once()
    for hours in (1, 5, 20, 30, 60, 200, 500, 100):
        for _ in range(3):
            await buy(runner, (f"s{chance.randrange(3)}", chance.randrange(1, 9)))
        runner.now_ms += hours * HOUR_MS
        for _ in range(30):
            if not any((await once.once()).values()):
                break
        kept, of_hours = await database.read(windows_summed)
        assert kept == of_hours
        for days in (*KEPT_DAYS, 2, 5):
            answer = await database.read(lambda c, d=days: queries.popular(c, now_ms=runner.now_ms, days=d))
            expected = await database.read(lambda c, d=days: summed(c, window_start(runner.now_ms, d)))
            assert {item.product_id: item.quantity for item in answer.items} == expected
    hours_left = {hour for hour, _ in await database.read(hours_summed)}
    assert min(hours_left, default=runner.now_ms) >= runner.now_ms - 32 * DAY_MS
    assert (await database.read(orders_summed)).keys() > (await database.read(hours_summed)).keys()


def summed(conn, from_ms):
    """Units by product since then."""
    units = {}
    for (_, product), (quantity, _) in orders_summed(conn, from_ms).items():
        units[product] = units.get(product, 0) + quantity
    return units


async def test_the_answer_says_how_old_it_is(database):
    """While an event waits to be counted the answer is as of then; without one it is of now."""
    runner = await stocked(database)
    once = job(runner)
    await buy(runner, ("s0", 1))
    without = await database.read(lambda c: queries.popular(c, now_ms=runner.now_ms))
    assert (without.items[0].quantity, without.behind_s) == (1, 0.0), "without sums the orders answer"
    await caught_up(runner, once)
    runner.now_ms += 60_000
    answer = await database.read(lambda c: queries.popular(c, now_ms=runner.now_ms))
    assert (answer.items[0].quantity, answer.behind_s, answer.window.window_hours) == (1, 0.0, 72)
    await buy(runner, ("s0", 1))
    runner.now_ms += 4_000
    answer = await database.read(lambda c: queries.popular(c, now_ms=runner.now_ms))
    assert (answer.items[0].quantity, answer.behind_s) == (1, 4.0)
    await once.once()
    answer = await database.read(lambda c: queries.popular(c, now_ms=runner.now_ms))
    assert (answer.items[0].quantity, answer.behind_s) == (2, 0.0)


async def test_other_events_are_no_sales(database):
    """Only the three kinds that change what is PAID are read."""
    runner = await stocked(database)
    await job(runner).once()
    row = {"request_id": "x", "seq": 0, "kind": "coupon.given", "key": "k:1", "body": b"no JSON", "created_ms": 1}
    await database.transaction(lambda c: c.execute(insert(outbox), row), deadline=soon())
    await buy(runner, ("s0", 1))
    await caught_up(runner)
    assert "coupon.given" not in COUNTED_KINDS


@pytest.mark.parametrize("lost", [False, True], ids=["settled", "control"])
async def test_an_order_that_commits_late_is_counted(database, lost):
    """Its event has a lower id than one that was counted before; a reader of the newest id never sees it."""
    if database.dialect.name == "sqlite":
        pytest.skip("one transaction writes at a time")
    runner, clock = await stocked(database), Clock()
    settled = Newest(database) if lost else settled_events(database, lambda: runner.now_ms, clock)
    once = job(runner, settled=settled)
    for _ in range(3):
        await once.once()
        clock.s += 10
    written, commit = asyncio.Event(), asyncio.Event()
    late = asyncio.create_task(
        database.transaction(lambda c: order_by_hand(c, runner, written, commit), deadline=soon())
    )
    await written.wait()
    await buy(runner, ("s1", 1))
    for _ in range(3):
        await once.once()
        clock.s += 10
    assert ("p0" in await sold(database)) is False
    commit.set()
    await late

    async def counted():
        clock.s += 10
        await once.once()
        return await sold(database) == {"p0": 5, "p1": 1}

    if lost:
        assert await counted() is False
        await buy(runner, ("s1", 1))
        await once.once()
        assert await sold(database) == {"p1": 2}
        assert "p0" in {product for _, product in await database.read(orders_summed)}
    else:
        await eventually_async(counted)


class Clock:
    """A monotonic clock of the test's own."""

    def __init__(self):
        self.s = 0.0

    def __call__(self):
        return self.s


def order_by_hand(conn, runner, written, commit):
    """An order of 5 units of p0 that is written, and committed when the test says."""
    line = {"order_id": "late", "line": 1, "sku_id": "s0", "product_id": "p0", "quantity": 5, "price": 100}
    order = {"id": "late", "user_id": "u", "status": "PAID", "total": 500, "pay": "POINTS", "reserved_until_ms": 0}
    order |= {"payment_id": "late", "reason": "", "created_ms": runner.now_ms, "version": 1, "stamp": 0}
    body = msgspec.json.encode({"order_id": "late", "status": "PAID", "lines": [line]})
    event = {"request_id": "late", "seq": 0, "kind": "order.placed", "key": "stock:s0", "body": body}
    conn.execute(insert(orders), order)
    conn.execute(insert(order_lines), line)
    conn.execute(insert(outbox), {**event, "created_ms": runner.now_ms})
    written.set()
    await_only(commit.wait())


async def sold(database):
    """Units of each product in the sums."""
    return {product: units for (_, product), (units, _) in (await database.read(hours_summed)).items()}
