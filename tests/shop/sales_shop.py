"""A shop whose sales are summed: what the tests of the sums share."""

from sqlalchemy import func, select

from stockade.shop.commands import (
    CancelLines,
    CancelOrder,
    ChargePoints,
    CreateProduct,
    NewSku,
    OrderLine,
    PayOrder,
    PlaceOrder,
)
from stockade.shop.model.tables import (
    cancelled_lines,
    order_lines,
    orders,
    product_sales,
    sales_windows,
    window_sales,
)
from stockade.shop.sales import SalesJob
from stockade.shop.sales.hours import HOUR_MS, KEPT_DAYS
from stockade.store.schema.tables import outbox
from stockade.store.settled_events import Settled
from tests.shop.runner import Runner


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


async def cancel_lines(runner, order_id, *lines):
    wanted = tuple(OrderLine(*line) for line in lines)
    assert (await runner.execute(CancelLines(*runner.head(), order_id, "u", wanted, ""))).accepted


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
    found = {(row[0], row[1]): (int(row[2]), int(row[3])) for row in rows}
    less = select(hour, cancelled_lines.c.product_id, cancelled_lines.c.quantity, cancelled_lines.c.amount)
    less = less.join_from(orders, cancelled_lines, cancelled_lines.c.order_id == orders.c.id)
    for at, product, quantity, amount in conn.execute(less.where(orders.c.status == "PAID")):
        if at >= from_ms - from_ms % HOUR_MS:
            units, won = found[at, product]
            found[at, product] = units - quantity, won - amount
    return {key: sums for key, sums in found.items() if any(sums)}


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


class Fixed:
    """Settles what the test says."""

    def __init__(self, id_, runner):
        self.id, self.runner = id_, runner

    async def up_to(self, after):
        return Settled(self.id, self.runner.now_ms)


class Clock:
    """A monotonic clock of the test's own."""

    def __init__(self):
        self.s = 0.0

    def __call__(self):
        return self.s


async def sold(database):
    """Units of each product in the sums."""
    return {product: units for (_, product), (units, _) in (await database.read(hours_summed)).items()}
