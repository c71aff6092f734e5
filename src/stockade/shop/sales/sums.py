"""Adds changes to the sums of the hours, and to those of every kept window that holds their hour."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, Connection, Select, Table, cast, delete, func, select
from sqlalchemy.dialects import mysql, postgresql, sqlite

from stockade.shop.model.tables import product_sales, sales_windows, window_sales
from stockade.shop.sales.changes import Changes
from stockade.shop.sales.hours import HOUR_MS

_WINDOWS = select(sales_windows.c.days, sales_windows.c.from_ms, sales_windows.c.to_ms).order_by(sales_windows.c.days)


def add(connection: Connection, changes: Changes) -> None:
    """Add changes; the transaction has claimed the progress, so nothing else writes here."""
    _add_rows(
        connection,
        product_sales,
        [{**key._asdict(), **sales._asdict()} for key, sales in sorted(changes.items()) if any(sales)],
    )
    for days, from_ms, to_ms in connection.execute(_WINDOWS).all():
        of_products: dict[str, tuple[int, int]] = {}
        for (hour_ms, product_id), sales in changes.items():
            if from_ms <= hour_ms < to_ms:
                quantity, revenue = of_products.get(product_id, (0, 0))
                of_products[product_id] = quantity + sales.quantity, revenue + sales.revenue
        rows = [
            {"days": days, "product_id": product_id, "quantity": quantity, "revenue": revenue}
            for product_id, (quantity, revenue) in sorted(of_products.items())
            if quantity or revenue
        ]
        _add_rows(connection, window_sales, rows)


def add_hour(connection: Connection, days: int, hour_ms: int, sign: int) -> None:
    """Add the sums of an hour to those of a window (1), or take them away (-1)."""
    hour = select(
        cast(days, BigInteger),
        product_sales.c.product_id,
        sign * product_sales.c.quantity,
        sign * product_sales.c.revenue,
    ).where(product_sales.c.hour_ms == hour_ms)
    connection.execute(_adding(connection, window_sales, hour))
    empty = window_sales.c.days == days, window_sales.c.quantity == 0, window_sales.c.revenue == 0
    connection.execute(delete(window_sales).where(*empty))


def next_hour(connection: Connection, from_ms: int, before_ms: int) -> int | None:
    """The first hour with sums from one time on and before another."""
    hours = select(func.min(product_sales.c.hour_ms))
    found: int | None = connection.execute(
        hours.where(product_sales.c.hour_ms >= from_ms, product_sales.c.hour_ms < before_ms)
    ).scalar_one()
    return found


def delete_hour(connection: Connection, before_ms: int) -> int:
    """Delete the sums of the oldest hour that began before a time; returns how many there were."""
    oldest = next_hour(connection, -HOUR_MS, before_ms)
    if oldest is None:
        return 0
    return connection.execute(delete(product_sales).where(product_sales.c.hour_ms == oldest)).rowcount


def _add_rows(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        connection.execute(_adding(connection, table), rows)


def _adding(connection: Connection, table: Table, rows: Select[Any] | None = None) -> Any:
    """INSERT that adds both sums to those of a row that is there."""
    dialect: Any = {"postgresql": postgresql, "sqlite": sqlite}.get(connection.dialect.name, mysql)
    names = [column.name for column in table.c]
    statement = dialect.insert(table)
    if rows is not None:
        # without a condition SQLite takes ON CONFLICT for the condition of a join; each caller gives one
        statement = statement.from_select(names, rows)
    if dialect is mysql:
        return statement.on_duplicate_key_update(
            {name: table.c[name] + statement.inserted[name] for name in ("quantity", "revenue")}
        )
    return statement.on_conflict_do_update(
        index_elements=[column.name for column in table.primary_key],
        set_={name: table.c[name] + statement.excluded[name] for name in ("quantity", "revenue")},
    )
