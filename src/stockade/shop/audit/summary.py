"""The figures that an audit begins with: stock, sales, points, and the states of orders."""

import msgspec
from sqlalchemy import Connection, func, select, union_all

from stockade.shop.model.tables import orders, point_accounts, skus
from stockade.shop.sales.sold import sold


class Summary(msgspec.Struct, frozen=True):
    """Figures of a shop.

    Attributes:
        skus: number of SKUs.
        on_hand: units in stock: `reserved` by orders, and `left`.
        sold: units in PAID orders that were not cancelled; `revenue` is their total in won.
        accounts: number of points accounts; `balance` is their total in won.
        orders: number in each state.
    """

    skus: int
    on_hand: int
    reserved: int
    left: int
    sold: int
    revenue: int
    accounts: int
    balance: int
    orders: dict[str, int]


def summary(conn: Connection) -> Summary:
    """Count everything. Beside running orders each figure is right by itself."""
    stock = select(func.count(), func.sum(skus.c.on_hand), func.sum(skus.c.reserved))
    number, on_hand, reserved = conn.execute(stock).one()
    paid = union_all(*sold()).subquery()
    units, revenue = conn.execute(select(func.sum(paid.c.quantity), func.sum(paid.c.revenue))).one()
    points = select(func.count(), func.sum(point_accounts.c.balance)).where(point_accounts.c.version > 0)
    accounts, balance = conn.execute(points).one()
    states = select(orders.c.status, func.count().label("orders")).group_by(orders.c.status).order_by(orders.c.status)
    return Summary(
        skus=number,
        on_hand=int(on_hand or 0),
        reserved=int(reserved or 0),
        left=int(on_hand or 0) - int(reserved or 0),
        sold=int(units or 0),
        revenue=int(revenue or 0),
        accounts=accounts,
        balance=int(balance or 0),
        orders={row.status: row.orders for row in conn.execute(states)},
    )
