"""Sums of sales: equal to the orders whatever happens to them, and the answers that come from the sums."""

from random import Random

from sqlalchemy import delete, func, insert, select, update

from stockade.service.purge import EventPurge
from stockade.shop import queries
from stockade.shop.audit import audit
from stockade.shop.model.tables import (
    product_sales,
    sales_progress,
    window_sales,
)
from stockade.shop.sales import position_of
from stockade.shop.sales.changes import COUNTED_KINDS
from stockade.shop.sales.hours import HOUR_MS, KEPT_DAYS, hour_of, window_start
from stockade.shop.sales.progress import progress_of
from stockade.store.schema.tables import outbox
from tests.shop.conftest import soon
from tests.shop.sales_shop import (
    Fixed,
    buy,
    cancel,
    cancel_lines,
    caught_up,
    hours_summed,
    job,
    orders_summed,
    pay,
    stocked,
    windows_summed,
)

DAY_MS = 24 * HOUR_MS


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


async def test_sums_lose_the_units_of_cancelled_lines(database):
    """Cancelled before the sums began, before the payment, after it, and as the last line of an order."""
    runner = await stocked(database)
    hour, before = hour_of(runner.now_ms), await buy(runner, ("s0", 5), ("s1", 1))
    await cancel_lines(runner, before, ("s0", 2))
    once = job(runner)
    assert await caught_up(runner, once) == {(hour, "p0"): (3, 300), (hour, "p1"): (1, 101)}
    later, gone = await buy(runner, ("s2", 4), pay="LATER"), await buy(runner, ("s2", 7))
    await cancel_lines(runner, later, ("s2", 1))
    await pay(runner, later)
    await cancel_lines(runner, later, ("s2", 1))
    await cancel_lines(runner, gone, ("s2", 0))
    await cancel_lines(runner, before, ("s1", 0))
    assert await caught_up(runner, once) == {(hour, "p0"): (3, 300), (hour, "p2"): (2, 204)}
    assert await database.read(audit) == []


async def test_old_orders_are_added_up_in_bounded_steps(database):
    """A shop that was there before the sums: each round adds up so many orders, and new ones count meanwhile."""
    runner = await stocked(database)
    bought = []
    for _ in range(11):
        bought.append(await buy(runner, ("s0", 1), ("s1", 2)))
        runner.now_ms += HOUR_MS // 3
    later = await buy(runner, ("s2", 5), pay="LATER")
    slow = job(runner, batch=3, busy_s=0)
    looked = [(await slow.once())["added_up"] for _ in range(2 * len(KEPT_DAYS) + 1)]  # each begins or ends a window
    assert max(looked) == 3
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
    await caught_up(runner)


def start_over(conn):
    """As if no order had been counted yet."""
    conn.execute(delete(product_sales))
    conn.execute(delete(window_sales))
    conn.execute(update(sales_progress).values(counted_from_ms=2**62))


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


async def test_events_stay_until_they_are_counted(database):
    """The purge of confirmed events leaves those behind the position, and the last counted one; later it takes more."""
    runner = await stocked(database)
    once = job(runner)
    await caught_up(runner, once)
    await buy(runner, ("s0", 1))
    await database.transaction(lambda c: c.execute(update(outbox).values(state="CONFIRMED")), deadline=soon())
    purge = EventPurge(database, lambda: runner.now_ms + DAY_MS, DAY_MS // 2, position_of)
    await purge.once()
    assert await database.read(lambda c: c.execute(select(func.count()).select_from(outbox)).scalar_one()) == 1 + 2
    await caught_up(runner, once)
    await purge.once()
    assert await database.read(lambda c: c.execute(select(func.count()).select_from(outbox)).scalar_one()) == 1
    await buy(runner, ("s0", 1))
    assert await caught_up(runner, once) == {(hour_of(runner.now_ms), "p0"): (2, 200)}


async def test_other_events_are_no_sales(database):
    """Only the three kinds that change what is PAID are read."""
    runner = await stocked(database)
    await job(runner).once()
    row = {"request_id": "x", "seq": 0, "kind": "coupon.given", "key": "k:1", "body": b"no JSON", "created_ms": 1}
    await database.transaction(lambda c: c.execute(insert(outbox), row), deadline=soon())
    await buy(runner, ("s0", 1))
    await caught_up(runner)
    assert "coupon.given" not in COUNTED_KINDS


async def test_an_event_that_cannot_be_read_holds_nothing_up(database, caplog):
    """It is left out, logged once with its id, and later ones are counted; the audit shows what is missing."""
    runner = await stocked(database)
    once = job(runner)
    await caught_up(runner, once)
    await buy(runner, ("s0", 3))
    spoil = update(outbox).where(outbox.c.kind == "order.placed").values(body=b'{"order_id": 1}')
    await database.transaction(lambda c: c.execute(spoil), deadline=soon())
    (id_,) = await database.read(
        lambda c: c.execute(select(outbox.c.id).where(outbox.c.kind == "order.placed")).scalars().all()
    )
    await buy(runner, ("s1", 2))
    assert [(await once.once())["unreadable"] for _ in range(3)] == [1, 0, 0]
    (line,) = [each.message for each in caplog.records if each.levelname == "ERROR"]
    assert line.startswith(f"sales: event {id_} of kind order.placed cannot be read and is not counted: ")
    assert await database.read(hours_summed) == {(hour_of(runner.now_ms), "p1"): (2, 202)}
    assert (await database.read(progress_of)).position > id_, "the purge takes it"
    found = [each.detail for each in await database.read(audit) if each.rule == "sales-sum"]
    assert [each.partition(":")[2].split()[0] for each in found] == ["p0"]
