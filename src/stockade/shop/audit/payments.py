"""Rules about payments: one for each paid order, and the points that it took."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, Select, and_, case, cast, func, or_, select

from stockade.service.audit.rule_types import Finding, Scope, rule
from stockade.service.audit.stack import one, one_if, stack
from stockade.shop.audit.orders import moves, with_note
from stockade.shop.model import constants
from stockade.shop.model.tables import cancelled_lines, orders, payments
from stockade.store.schema.tables import ledger

NONE = "none"
MOVES = (constants.USE, constants.REFUND)
EXPECTED = case(  # the state of an order's payment
    (orders.c.status == constants.PAID, constants.APPROVED),
    (and_(orders.c.status == constants.CANCELLED, orders.c.payment_id != ""), constants.CANCELLED),
    else_=NONE,
)


# Won of each order that were not paid, because lines were cancelled before.
UNPAID = (
    select(cancelled_lines.c.order_id, func.sum(cancelled_lines.c.amount).label("amount"))
    .where(cancelled_lines.c.payment_id == "")
    .group_by(cancelled_lines.c.order_id)
    .subquery("unpaid")
)
OWED = orders.c.total - func.coalesce(UNPAID.c.amount, 0)


def differs() -> ColumnElement[bool]:
    """Whether a payment is not the one that its order names; `UNPAID` is joined to the order."""
    return or_(
        payments.c.amount != OWED,
        payments.c.id != orders.c.payment_id,
        payments.c.user_id != orders.c.user_id,
    )


@rule("payment-of-order")
def payment_of_order(conn: Connection, scope: Scope) -> Iterator[Finding]:
    """A PAID order has one APPROVED payment of its total, a cancelled paid one a CANCELLED payment, others none.

    What was cancelled before the payment is no part of it.
    """
    actual = func.coalesce(payments.c.status, NONE)
    statement = (
        select(orders.c.id, EXPECTED, OWED, actual, func.coalesce(payments.c.amount, 0), payments.c.user_id)
        .join_from(orders, payments, payments.c.order_id == orders.c.id, isouter=True)
        .join(UNPAID, UNPAID.c.order_id == orders.c.id, isouter=True)
        .where(or_(actual != EXPECTED, func.coalesce(differs(), False)))
    )
    for id_, should, owed, status, amount, user_id in scope.rows(conn, statement):
        wanted = should if should == NONE else f"{should} {int(owed)}"
        found = status if status == NONE else f"{status} {amount} of {user_id}"
        yield f"order:{id_}", f"payment {wanted}", f"payment {found}"


@rule("payment-without-order")
def payment_without_order(conn: Connection, scope: Scope) -> Iterator[Finding]:
    """Every payment has its order."""
    statement = (
        select(payments.c.id, payments.c.order_id)
        .join_from(payments, orders, orders.c.id == payments.c.order_id, isouter=True)
        .where(orders.c.id.is_(None))
    )
    for id_, order_id in scope.rows(conn, statement):
        yield f"payment:{id_}", f"order:{order_id}", "no such order"


@rule("points-of-payment")
def points_of_payment(conn: Connection, scope: Scope) -> Iterator[Finding]:
    """An APPROVED payment with points took its amount from its user once; a CANCELLED one also gave it back once. A
    payment by a gateway moved no points.

    What cancelled lines cost came back in one entry each time; then a cancellation gave back what was left.
    """
    paid = select(
        payments.c.order_id.label("id"),
        payments.c.user_id.label("row_id"),
        payments.c.id.label("payment_id"),
        case((payments.c.method == constants.POINTS, payments.c.amount), else_=0).label("amount"),
        one_if(payments.c.status == constants.CANCELLED).label("cancelled"),
        one("payments"),
    )
    entries = moves("points", MOVES, ledger.c.delta, *map(with_note, MOVES))
    both = stack(paid, entries, given_back(one("times")))
    total, uses, refunds = (func.sum(both.c[name]) for name in ("delta", constants.USE, constants.REFUND))
    amount, cancelled = func.sum(both.c.amount), func.sum(both.c.cancelled) > 0
    left = amount - func.sum(both.c.given)
    expected = case((cancelled, 0), else_=-left)
    last = case((cancelled, one_if(left > 0)), else_=0)
    wrong = or_(total != expected, uses != one_if(amount > 0), refunds != func.sum(both.c.times) + last)
    statement = (
        select(func.max(both.c.payment_id).label("id"), both.c.row_id, expected, total, uses, refunds)
        .group_by(both.c.id, both.c.row_id)
        .having(func.sum(both.c.payments) > 0, wrong)
    )
    for id_, user_id, should, delta, used, refunded in scope.rows(conn, statement):
        found = f"{delta} by {used} x {constants.USE}, {refunded} x {constants.REFUND}"
        yield f"payment:{id_} points:{user_id}", int(should), found


def given_back(*columns: ColumnElement[int]) -> Select[Any]:
    """Each cancellation of lines that were paid with points: `id` of the order, `row_id` of the account, `given`.

    Args:
        columns: further ones.
    """
    each = (
        select(
            cancelled_lines.c.order_id,
            cancelled_lines.c.payment_id,
            cast(func.sum(cancelled_lines.c.amount), BigInteger).label("given"),
        )
        .group_by(cancelled_lines.c.order_id, cancelled_lines.c.request_id, cancelled_lines.c.payment_id)
        .having(func.sum(cancelled_lines.c.amount) > 0)
        .subquery("given_back")
    )
    paid = and_(payments.c.id == each.c.payment_id, payments.c.method == constants.POINTS)
    return select(
        payments.c.order_id.label("id"), payments.c.user_id.label("row_id"), each.c.given, *columns
    ).join_from(each, payments, paid)


@rule("stray-points")
def stray_points(conn: Connection, scope: Scope) -> Iterator[Finding]:
    """Points are used and refunded only for a payment that exists."""
    paid = select(payments.c.order_id.label("id"), payments.c.user_id.label("row_id"), one("payments"))
    both = stack(paid, moves("points", MOVES, ledger.c.delta, *map(with_note, MOVES)))
    statement = (
        select(both.c.id, both.c.row_id, func.sum(both.c.delta))
        .group_by(both.c.id, both.c.row_id)
        .having(func.sum(both.c.payments) == 0)
    )
    for order_id, user_id, delta in scope.rows(conn, statement):
        yield f"order:{order_id} points:{user_id}", "no movement", int(delta)
