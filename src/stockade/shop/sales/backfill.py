"""Adds up the orders that were there before the sums were: some at a time, the newest first.

A step takes the PAID orders of a span of time as one snapshot shows them. That snapshot may show orders whose events
stand behind the position; those events will be counted later, so their changes are taken off here. After the step the
span is counted exactly up to the position, like every later one.
"""

from typing import NamedTuple

from sqlalchemy import BigInteger, Connection, and_, cast, func, select, union_all

from stockade.shop.model.tables import orders
from stockade.shop.sales.changes import COUNTED_EVENTS, HourOfProduct, Sales, changes_of, steps_of
from stockade.shop.sales.hours import hour_of_column, oldest_kept
from stockade.shop.sales.progress import claim, move
from stockade.shop.sales.sold import sold
from stockade.shop.sales.sums import add
from stockade.store.index_order import in_index_order
from stockade.store.schema.tables import outbox

MAX_BEHIND = 20_000  # events behind the position that one step looks at


class Backfilled(NamedTuple):
    """One step: how many orders it looked through, and whether there may be more to do now."""

    orders: int
    more: bool


def backfill(connection: Connection, now_ms: int, batch: int) -> Backfilled:
    """One step.

    Args:
        connection: inside a transaction of one snapshot.
        now_ms: the wall clock, milliseconds since 1970: orders older than every window stay out.
        batch: the most orders, unless more were placed in one millisecond.
    """
    progress, oldest_ms = claim(connection), oldest_kept(now_ms)
    if progress is None or progress.counted_from_ms <= oldest_ms:
        return Backfilled(0, False)
    behind = connection.execute(
        COUNTED_EVENTS.where(outbox.c.id > progress.position).order_by(outbox.c.id).limit(MAX_BEHIND + 1)
    ).all()
    if len(behind) > MAX_BEHIND:  # the sums are far behind: count these first
        return Backfilled(0, False)
    before_ms = progress.counted_from_ms
    from_ms = _start(connection, oldest_ms, before_ms, batch)
    found = _paid(connection, from_ms, before_ms)
    steps, _ = steps_of(behind)  # what cannot be read will not be counted later either
    for key, later in changes_of(connection, steps, from_ms=from_ms, before_ms=before_ms).items():
        sales = found.get(key, Sales(0, 0))
        found[key] = Sales(sales.quantity - later.quantity, sales.revenue - later.revenue)
    add(connection, found)
    move(connection, counted_from_ms=from_ms)
    return Backfilled(_orders(connection, from_ms, before_ms), from_ms > oldest_ms)


def _start(connection: Connection, oldest_ms: int, before_ms: int, batch: int) -> int:
    """The time of the last order of a batch that goes back from a time; the oldest time if there are fewer."""
    times = select(orders.c.created_ms).where(orders.c.created_ms >= oldest_ms, orders.c.created_ms < before_ms)
    with in_index_order(connection):
        found = connection.execute(times.order_by(orders.c.created_ms.desc()).limit(1).offset(batch - 1)).scalar()
    return oldest_ms if found is None else found


def _orders(connection: Connection, from_ms: int, before_ms: int) -> int:
    counted = select(func.count()).where(orders.c.created_ms >= from_ms, orders.c.created_ms < before_ms)
    return int(connection.execute(counted).scalar_one())


def _paid(connection: Connection, from_ms: int, before_ms: int) -> dict[HourOfProduct, Sales]:
    hour = hour_of_column(orders.c.created_ms).label("hour_ms")
    within = and_(orders.c.created_ms >= from_ms, orders.c.created_ms < before_ms)
    lines = union_all(*sold(hour, where=within)).subquery()
    units, won = (cast(func.sum(lines.c[name]), BigInteger) for name in ("quantity", "revenue"))
    key = lines.c.hour_ms, lines.c.product_id
    sums = select(*key, units, won).group_by(*key)
    return {HourOfProduct(row[0], row[1]): Sales(row[2], row[3]) for row in connection.execute(sums)}
