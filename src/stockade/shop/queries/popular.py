"""Popular products: those sold most in the last days, by units or by revenue.

The answer comes from the sums that the job in `shop.sales` keeps. Where they do not reach back far enough yet, after an
upgrade or without the job, it comes from the orders themselves.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta
from sqlalchemy import BigInteger, CompoundSelect, Connection, Select, and_, cast, func, select, union_all

from stockade.core.timestamps import rfc3339
from stockade.shop.model.fields import Name, ProductId, Time
from stockade.shop.model.tables import (
    orders,
    product_sales,
    products,
    sales_progress,
    sales_windows,
    window_sales,
)
from stockade.shop.queries.page import BadQuery
from stockade.shop.sales.hours import FOREVER_MS, HOUR_MS, MAX_DAYS, hour_of, window_start
from stockade.shop.sales.progress import PROGRESS
from stockade.shop.sales.sold import sold
from stockade.store.schema.tables import outbox

MAX_POPULAR = 100

_WAITING = select(outbox.c.created_ms).where(outbox.c.id > sales_progress.c.position).order_by(outbox.c.id).limit(1)
_HOW_FAR = PROGRESS.add_columns(_WAITING.scalar_subquery().label("waiting_since_ms"))


class PopularProduct(msgspec.Struct, frozen=True):
    """A product, and its sales within the window."""

    product_id: ProductId
    name: Name
    quantity: Annotated[int, Meta(description="Units sold.", examples=[120])]
    revenue: Annotated[
        int, Meta(description="What they cost, in the smallest unit of the currency.", examples=[120000])
    ]


class Window(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """The time whose orders count, by the time of the order: `window_hours` whole hours, the last one not over yet."""

    days: Annotated[int, Meta(description="As asked for.", examples=[3])]
    from_: Time
    to: Time
    window_hours: Annotated[int, Meta(description="Whole hours that are counted.", examples=[72])]


class Popular(msgspec.Struct, frozen=True):
    """The most popular products, best first; products with the same figure stand in id order.

    Attributes:
        items: the products.
        window: the time whose orders count.
        as_of: everything that was committed before that time is counted.
        behind_s: how long ago that was, in seconds.
    """

    items: Annotated[list[PopularProduct], Meta(description="The best one first.")]
    window: Annotated[Window, Meta(description="The time whose orders count.")]
    as_of: Time
    behind_s: Annotated[float, Meta(description="Seconds since `as_of`.", examples=[0.0])]


def popular(conn: Connection, *, now_ms: int, days: int = 3, limit: int = 5, by: str = "quantity") -> Popular:
    """The products with the most units, or the highest revenue, in PAID orders of the window.

    Args:
        conn: a connection to read on.
        now_ms: the present, in milliseconds since 1970; the hour that it belongs to is the last one of the window.
        days: length of the window, 1 to MAX_DAYS times 24 hours.
        limit: products, 1 to MAX_POPULAR.
        by: `quantity` or `revenue`.

    Raises:
        BadQuery: a parameter is not allowed.
    """
    if not 1 <= days <= MAX_DAYS:
        raise BadQuery(f"days must be 1 to {MAX_DAYS}, not {days}")
    if not 1 <= limit <= MAX_POPULAR:
        raise BadQuery(f"limit must be 1 to {MAX_POPULAR}, not {limit}")
    if by not in ("quantity", "revenue"):
        raise BadQuery(f"by must be quantity or revenue, not {by!r}")
    from_ms = window_start(now_ms, days)
    state = _state(conn, days)
    if state is None or state.counted_from_ms > from_ms:
        return _answer(conn, _best(_of_orders(from_ms), by, limit), _window(days, from_ms, now_ms), now_ms, now_ms)
    as_of_ms = _as_of_ms(state, now_ms)
    if state.kept_from_ms is None:
        return _answer(conn, _best(_of_hours(from_ms), by, limit), _window(days, from_ms, now_ms), now_ms, as_of_ms)
    # in the hour in which the job has not taken the oldest hour out yet, the window is that much longer
    window = _window(days, state.kept_from_ms, now_ms)
    return _answer(conn, _best_kept(days, by, limit), window, now_ms, as_of_ms)


def sums_behind_s(conn: Connection, *, now_ms: int) -> float:
    """How far the sums are behind, in seconds; 0 before the job's first round, when the orders answer.

    Args:
        conn: a connection to read on.
        now_ms: the present, in milliseconds since 1970.
    """
    state = conn.execute(_HOW_FAR).one_or_none()
    return 0.0 if state is None else (now_ms - _as_of_ms(state, now_ms)) / 1000


def _state(conn: Connection, days: int) -> Any:
    """The progress of the sums, the time of the first event that waits to be counted, and the start of a kept window.

    They are read before the sums, which then hold at least as much as these say.
    """
    kept = select(sales_windows.c.from_ms).where(sales_windows.c.days == days, sales_windows.c.to_ms == FOREVER_MS)
    return conn.execute(_HOW_FAR.add_columns(kept.scalar_subquery().label("kept_from_ms"))).one_or_none()


def _as_of_ms(state: Any, now_ms: int) -> int:
    """The time up to which everything is counted."""
    as_of_ms: int = now_ms if state.waiting_since_ms is None else max(state.as_of_ms, state.waiting_since_ms)
    return min(now_ms, as_of_ms)


def _window(days: int, from_ms: int, now_ms: int) -> Window:
    return Window(days, rfc3339(from_ms), rfc3339(now_ms), (hour_of(now_ms) - from_ms) // HOUR_MS + 1)


def _answer(conn: Connection, best: Select[Any], window: Window, now_ms: int, as_of_ms: int) -> Popular:
    items = [
        PopularProduct(row.product_id, row.name, int(row.quantity), int(row.revenue)) for row in conn.execute(best)
    ]
    return Popular(items, window, rfc3339(as_of_ms), (now_ms - as_of_ms) / 1000)


def _of_orders(from_ms: int) -> CompoundSelect[Any]:
    # with an end, because SQLite takes a range without one for most of the table, and reads all lines
    return union_all(*sold(where=and_(orders.c.created_ms >= from_ms, orders.c.created_ms < FOREVER_MS)))


def _of_hours(from_ms: int) -> Select[Any]:
    return select(product_sales).where(product_sales.c.hour_ms >= from_ms)


def _best(sales: Select[Any] | CompoundSelect[Any], by: str, limit: int) -> Select[Any]:
    """The best products of sales that have yet to be summed up."""
    each = sales.subquery()
    sums = {name: cast(func.sum(each.c[name]), BigInteger).label(name) for name in ("quantity", "revenue")}
    best = (
        select(each.c.product_id, *sums.values())
        .group_by(each.c.product_id)
        .having(func.sum(each.c.quantity) > 0)
        .order_by(sums[by].desc(), each.c.product_id)
        .limit(limit)
    )
    return _named(best, by)


def _best_kept(days: int, by: str, limit: int) -> Select[Any]:
    """The best products of a kept window: the first entries of its index."""
    best = select(window_sales.c.product_id, window_sales.c.quantity, window_sales.c.revenue)
    sold = window_sales.c.quantity + 0 > 0  # an expression: else SQLite takes the index of units for revenue too
    best = best.where(window_sales.c.days == days, sold)
    return _named(best.order_by(window_sales.c[by].desc(), window_sales.c.product_id).limit(limit), by)


def _named(best: Select[Any], by: str) -> Select[Any]:
    few = best.subquery()
    return (
        select(few, products.c.name)
        .join_from(few, products, products.c.id == few.c.product_id)
        .order_by(few.c[by].desc(), few.c.product_id)
    )
