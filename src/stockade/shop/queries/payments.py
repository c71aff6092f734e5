"""Payments as their owner sees them."""

from typing import Annotated

import msgspec
from msgspec import Meta
from sqlalchemy import Connection, bindparam, select

from stockade.shop.model import constants
from stockade.shop.model.fields import (
    Amount,
    ChargeId,
    Currency,
    Method,
    OrderId,
    PaymentId,
    PaymentStatus,
    RefundId,
    RefundStatus,
)
from stockade.shop.model.tables import payment_attempts, refunds
from stockade.shop.model.tables import payments as payment_table
from stockade.shop.queries.orders import Step, history

_ONE = select(payment_table).where(payment_table.c.id == bindparam("id"))
_ATTEMPT = select(payment_attempts).where(payment_attempts.c.id == bindparam("id"))
_REFUNDS = select(refunds).where(refunds.c.payment_id == bindparam("id")).order_by(refunds.c.created_ms, refunds.c.id)


class RefundOfPayment(msgspec.Struct, frozen=True):
    """Money that was, or is to be, given back through the gateway."""

    refund_id: RefundId
    status: RefundStatus
    amount: Amount


class Payment(msgspec.Struct, frozen=True, omit_defaults=True):
    """A payment of an order or of a charge.

    Attributes:
        approvals: how often an approval was recorded. Whether the gateway took money more often, only its own records
            say: `shop.payments.comparison`.
        code: with which a gateway declined; absent in every other state.
    """

    payment_id: PaymentId
    status: PaymentStatus
    method: Method
    amount: Amount
    approvals: Annotated[int, Meta(description="How often an approval was recorded: at most 1.", examples=[1])]
    history: Annotated[list[Step], Meta(description="Its states, the first one first.")]
    order_id: OrderId | None = None
    charge_id: ChargeId | None = None
    currency: Currency | None = None
    code: Annotated[str | None, Meta(description="Why the gateway declined.", examples=["REJECT_CARD_PAYMENT"])] = None
    refunds: Annotated[list[RefundOfPayment] | None, Meta(description="What the gateway gives back.")] = None


def payment(conn: Connection, payment_id: str, user_id: str | None) -> Payment | None:
    """One payment; None when there is none or it is someone else's.

    Args:
        conn: a connection to read on.
        payment_id: from the response to the order or the payment.
        user_id: the caller; None: an administrator, who sees every payment.
    """
    by_gateway = conn.execute(_ATTEMPT, {"id": payment_id}).one_or_none()
    row = by_gateway or conn.execute(_ONE, {"id": payment_id}).one_or_none()
    if row is None or (user_id is not None and row.user_id != user_id):
        return None
    kind, first = ("payment", constants.APPROVED) if by_gateway is None else ("attempt", constants.APPROVING)
    steps = history(conn, kind, {row.id: (first, row.created_ms)})[row.id]
    approvals = sum(step.status in (constants.APPROVED, constants.UNFULFILLABLE) for step in steps)
    if by_gateway is None:
        return Payment(row.id, row.status, row.method, row.amount, approvals, steps, order_id=row.order_id)
    given_back = [RefundOfPayment(each.id, each.status, each.amount) for each in conn.execute(_REFUNDS, {"id": row.id})]
    of_order = row.subject == constants.ORDER
    return Payment(
        row.id,
        row.status,
        constants.PG,
        row.amount,
        approvals,
        steps,
        order_id=row.subject_id if of_order else None,
        charge_id=None if of_order else row.subject_id,
        currency=row.currency,
        code=row.code if row.status == constants.DECLINED else None,  # else a note for operators
        refunds=given_back or None,
    )
