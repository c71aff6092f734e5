"""Charges of points through a gateway, as their owner sees them."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from sqlalchemy import Connection, bindparam, select

from stockade.core.timestamps import rfc3339
from stockade.shop.model import constants
from stockade.shop.model.fields import Amount, ChargeId, Currency, PaymentId, PgOrderId, Time, UserId
from stockade.shop.model.payment_reference import next_reference
from stockade.shop.model.tables import point_charges
from stockade.shop.queries.orders import Step, history

_ONE = select(point_charges).where(point_charges.c.id == bindparam("id"))


class Charge(msgspec.Struct, frozen=True, omit_defaults=True):
    """A charge of points that a gateway approves.

    Attributes:
        payment_id: of the last payment that was tried.
        pg_order_id: only while READY.
    """

    charge_id: ChargeId
    user_id: UserId
    status: Annotated[
        Literal["READY", "APPROVING", "APPROVED", "CANCELLED"],
        Meta(
            description=(
                "READY: to be confirmed, also after a decline. APPROVING: the gateway is asked. APPROVED: the points "
                "are there. CANCELLED: the gateway took what could not be added, and gives it back."
            ),
            examples=["READY"],
        ),
    ]
    amount: Amount
    currency: Currency
    history: Annotated[list[Step], Meta(description="Its states, the first one first.")]
    created_at: Time
    payment_id: PaymentId | None = None
    pg_order_id: PgOrderId | None = None


def charge(conn: Connection, charge_id: str, user_id: str | None) -> Charge | None:
    """One charge through a gateway; None when there is none or it is someone else's.

    Args:
        conn: a connection to read on.
        charge_id: from the response to the charge.
        user_id: the caller; None: an administrator, who sees every charge.
    """
    row = conn.execute(_ONE, {"id": charge_id}).one_or_none()
    if row is None or (user_id is not None and row.user_id != user_id):
        return None
    ready = row.status == constants.READY
    return Charge(
        row.id,
        row.user_id,
        row.status,
        row.amount,
        row.currency,
        history(conn, "charge", {row.id: (constants.READY, row.created_ms)})[row.id],
        rfc3339(row.created_ms),
        payment_id=row.payment_id or None,
        pg_order_id=next_reference(row.id, row.attempts) if ready else None,
    )
