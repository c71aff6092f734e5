"""The screen of attempts to pay through a gateway: each beside what it pays, and beside the payment that it made."""

from typing import Any

from sqlalchemy import Select, and_, func, or_, select

from stockade.service.audit.stack import one_if
from stockade.shop.audit import gateway_payments
from stockade.shop.audit.gateway_payments import APPROVED, CHARGE_OF, OF_CHARGE, OF_ORDER, ORDER_OF
from stockade.shop.audit.screen import Screen, flags
from stockade.shop.model import constants
from stockade.shop.model.tables import orders, payment_attempts, payments, point_charges


def by_attempt(_dialect: str) -> Select[Any]:
    """Each attempt with its order or charge, and with the payment of the same id."""
    attempt = (
        select(
            one_if(and_(orders.c.id.is_(None), point_charges.c.id.is_(None))).label("orphan"),
            one_if(and_(APPROVED, OF_ORDER, gateway_payments.not_its_payment())).label("order_differs"),
            one_if(and_(APPROVED, OF_CHARGE, gateway_payments.not_its_charge())).label("charge_differs"),
        )
        .join_from(payment_attempts, orders, ORDER_OF, isouter=True)
        .join(point_charges, CHARGE_OF, isouter=True)
        .join(payments, payments.c.id == payment_attempts.c.id, isouter=True)
        .subquery()
    )
    differs = or_(attempt.c.order_differs > 0, attempt.c.charge_differs > 0)
    # Where no approved attempt differs, each has a payment or a charge of its own. So none of these is without an
    # attempt if there are as many of them. No two approved attempts pay one order then: it has one payment at most.
    approved = select(func.count()).select_from(payment_attempts).where(APPROVED)
    paid = select(func.count()).select_from(payments).where(payments.c.method == constants.PG)
    charged = select(func.count()).select_from(point_charges).where(point_charges.c.status == constants.APPROVED)
    missing = or_(
        approved.where(OF_ORDER).scalar_subquery() != paid.scalar_subquery(),
        approved.where(OF_CHARGE).scalar_subquery() != charged.scalar_subquery(),
    )
    found = flags(attempt, orphan=attempt.c.orphan > 0, differs=differs)
    return found.add_columns(one_if(missing).label("missing"))


BY_ATTEMPT = Screen(
    "by_attempt",
    by_attempt,
    {
        "orphan": (gateway_payments.attempt_of_nothing,),
        "differs": (gateway_payments.approved_once, gateway_payments.approval_recorded),
        "missing": (gateway_payments.approval_recorded,),
    },
)
