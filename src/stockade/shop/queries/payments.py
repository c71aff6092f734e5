"""Payments as their owner sees them."""

from typing import Annotated

import msgspec
from msgspec import Meta
from sqlalchemy import Connection, bindparam, select

from stockade.shop.model import constants
from stockade.shop.model.fields import Amount, Method, OrderId, PaymentId, PaymentStatus
from stockade.shop.model.tables import payments as payment_table
from stockade.shop.queries.orders import Step, history

_ONE = select(payment_table).where(payment_table.c.id == bindparam("id"))


class Payment(msgspec.Struct, frozen=True):
    """The payment of an order; `amount` in won, `approvals` says how often the money was taken."""

    payment_id: PaymentId
    order_id: OrderId
    status: PaymentStatus
    method: Method
    amount: Amount
    approvals: Annotated[int, Meta(description="How often the money was taken: 1.", examples=[1])]
    history: Annotated[list[Step], Meta(description="Its states, the first one first.")]


def payment(conn: Connection, payment_id: str, user_id: str | None) -> Payment | None:
    """One payment; None when there is none or it is someone else's.

    Args:
        conn: a connection to read on.
        payment_id: from the response to the order or the payment.
        user_id: the caller; None: an administrator, who sees every payment.
    """
    row = conn.execute(_ONE, {"id": payment_id}).one_or_none()
    if row is None or (user_id is not None and row.user_id != user_id):
        return None
    steps = history(conn, "payment", {row.id: (constants.APPROVED, row.created_ms)})[row.id]
    approvals = sum(step.status == constants.APPROVED for step in steps)
    return Payment(row.id, row.order_id, row.status, row.method, row.amount, approvals, steps)
