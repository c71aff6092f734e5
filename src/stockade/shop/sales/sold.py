"""What PAID orders hold, in SQL: the lines as they were ordered, and less what was cancelled of them.

Neighbours: `backfill` adds it up, popular products and the audit do so too.
"""

from typing import Any

from sqlalchemy import ColumnElement, Select, select

from stockade.shop.model.constants import PAID
from stockade.shop.model.tables import cancelled_lines, order_lines, orders


def sold(*columns: ColumnElement[Any], where: ColumnElement[bool] | None = None) -> tuple[Select[Any], Select[Any]]:
    """Two parts whose rows add up to what is left: `product_id`, `quantity` and `revenue`, less in the second.

    Args:
        columns: of `orders`; they come first.
        where: condition on the orders.
    """
    ordered, less = order_lines.c, cancelled_lines.c
    parts = (
        (order_lines, ordered.quantity, ordered.quantity * ordered.price),
        (cancelled_lines, -less.quantity, -less.amount),
    )
    first, second = (
        select(*columns, table.c.product_id, quantity.label("quantity"), revenue.label("revenue"))
        .join_from(orders, table, table.c.order_id == orders.c.id)
        .where(orders.c.status == PAID, *(() if where is None else (where,)))
        for table, quantity, revenue in parts
    )
    return first, second
