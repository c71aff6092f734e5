"""The rule about the sums of sales: once they have caught up, they are what the orders hold."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, exists, func, not_, or_, select

from stockade.service.audit.rule_types import Finding, Scope, rule
from stockade.service.audit.stack import many_groups, stack
from stockade.shop.model.tables import orders, product_sales, sales_progress, sales_windows, window_sales
from stockade.shop.sales.changes import COUNTED_KINDS
from stockade.shop.sales.hours import hour_of_column
from stockade.shop.sales.progress import NAME
from stockade.shop.sales.sold import sold
from stockade.store.schema.tables import outbox


@rule("sales-sum")
def sales_sum(conn: Connection, scope: Scope) -> Iterator[Finding]:
    """The sums of each product and hour are those of the PAID orders, and the sums of a window those of its hours.

    While events wait to be counted, the first half of the rule finds nothing: the sums say of which time they are.
    """
    for hour_ms, product_id, *sums in scope.rows(conn, _hours()):
        yield f"product:{product_id} hour {hour_ms}", _sales(*sums[:2]), _sales(*sums[2:])
    for product_id, days, *sums in scope.rows(conn, _windows()):
        yield f"product:{product_id} window of {days} days", _sales(*sums[:2]), _sales(*sums[2:])


def _hours() -> Select[Any]:
    """The sums of the hours that differ from those of the orders."""
    counted_from_ms, position = (
        select(sales_progress.c[name]).where(sales_progress.c.name == NAME).scalar_subquery()
        for name in ("counted_from_ms", "position")
    )
    kept = product_sales.c.hour_ms >= hour_of_column(counted_from_ms)
    both = stack(
        *(_expected(part) for part in sold(orders.c.created_ms, where=orders.c.created_ms >= counted_from_ms)),
        select(
            product_sales.c.hour_ms,
            product_sales.c.product_id,
            product_sales.c.quantity.label("units"),
            product_sales.c.revenue.label("won"),
        ).where(kept),
    )
    behind = exists().where(outbox.c.id > position, outbox.c.kind.in_(COUNTED_KINDS))
    return _different(both, both.c.hour_ms, both.c.product_id).where(not_(behind))


def _expected(lines: Select[Any]) -> Select[Any]:
    """What some lines of orders add to the sums of the hours."""
    of_order = many_groups(lines).subquery()
    hour = hour_of_column(of_order.c.created_ms).label("hour_ms")
    units, won = func.sum(of_order.c.quantity), func.sum(of_order.c.revenue)
    expected = select(hour, of_order.c.product_id, units.label("expected_units"), won.label("expected_won"))
    return expected.group_by(hour, of_order.c.product_id)


def _windows() -> Select[Any]:
    """The sums of the windows that differ from those of their hours."""
    hours = (
        select(
            product_sales.c.product_id,
            sales_windows.c.days,
            product_sales.c.quantity.label("expected_units"),
            product_sales.c.revenue.label("expected_won"),
        )
        .join_from(sales_windows, product_sales, product_sales.c.hour_ms >= sales_windows.c.from_ms)
        .where(product_sales.c.hour_ms < sales_windows.c.to_ms)
    )
    kept = select(
        window_sales.c.product_id,
        window_sales.c.days,
        window_sales.c.quantity.label("units"),
        window_sales.c.revenue.label("won"),
    )
    both = stack(hours, kept)
    return _different(both, both.c.product_id, both.c.days)


def _different(both: Any, *key: ColumnElement[Any]) -> Select[Any]:
    sums = [func.sum(both.c[name]) for name in ("expected_units", "expected_won", "units", "won")]
    labelled = [each.label(f"sum_{number}") for number, each in enumerate(sums)]
    return select(*key, *labelled).group_by(*key).having(or_(sums[0] != sums[2], sums[1] != sums[3]))


def _sales(units: int, won: int) -> str:
    return f"{int(units)} units for {int(won)} won"
