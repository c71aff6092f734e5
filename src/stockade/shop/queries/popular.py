"""Popular products: those sold most in the last days, by units or by revenue."""

import msgspec
from sqlalchemy import Connection, func, select

from stockade.core.timestamps import rfc3339
from stockade.shop.model import constants
from stockade.shop.model.tables import order_lines, orders, products
from stockade.shop.queries.page import BadQuery

MAX_DAYS = 30
MAX_POPULAR = 100
DAY_MS = 24 * 3_600_000


class PopularProduct(msgspec.Struct, frozen=True):
    """A product, and its sales within the window; revenue in won."""

    product_id: str
    name: str
    quantity: int
    revenue: int


class Window(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """The time whose orders count, by the time of the order."""

    days: int
    from_: str
    to: str


class Popular(msgspec.Struct, frozen=True):
    """The most popular products, best first; products with the same figure stand in id order."""

    items: list[PopularProduct]
    window: Window


def popular(conn: Connection, *, now_ms: int, days: int = 3, limit: int = 5, by: str = "quantity") -> Popular:
    """Sum the lines of the PAID orders of the window. Reads only that window.

    Args:
        conn: a connection to read on.
        now_ms: the end of the window, in milliseconds since 1970.
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
    since_ms = now_ms - days * DAY_MS
    quantity = func.sum(order_lines.c.quantity).label("quantity")
    revenue = func.sum(order_lines.c.quantity * order_lines.c.price).label("revenue")
    sums = (
        select(order_lines.c.product_id, quantity, revenue)
        .join_from(orders, order_lines, order_lines.c.order_id == orders.c.id)
        .where(orders.c.status == constants.PAID, orders.c.created_ms > since_ms, orders.c.created_ms <= now_ms)
        .group_by(order_lines.c.product_id)
        .order_by((quantity if by == "quantity" else revenue).desc(), order_lines.c.product_id)
        .limit(limit)
        .subquery()
    )
    best = (
        select(sums, products.c.name)
        .join_from(sums, products, products.c.id == sums.c.product_id)
        .order_by(sums.c[by].desc(), sums.c.product_id)
    )
    items = [
        PopularProduct(row.product_id, row.name, int(row.quantity), int(row.revenue)) for row in conn.execute(best)
    ]
    return Popular(items, Window(days, rfc3339(since_ms), rfc3339(now_ms)))
