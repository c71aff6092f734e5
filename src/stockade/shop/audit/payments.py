"""Rules about payments: one for each paid order, and the points that it took."""

from collections.abc import Iterator

from sqlalchemy import ColumnElement, Connection, and_, case, func, or_, select

from stockade.service.audit.rule_types import Finding, Scope, rule
from stockade.service.audit.stack import one, one_if, stack
from stockade.shop.audit.orders import moves, with_note
from stockade.shop.model import constants
from stockade.shop.model.tables import orders, payments
from stockade.store.schema.tables import ledger

NONE = "none"
MOVES = (constants.USE, constants.REFUND)
EXPECTED = case(  # the state of an order's payment
    (orders.c.status == constants.PAID, constants.APPROVED),
    (and_(orders.c.status == constants.CANCELLED, orders.c.payment_id != ""), constants.CANCELLED),
    else_=NONE,
)


def differs() -> ColumnElement[bool]:
    """Whether a payment is not the one that its order names."""
    return or_(
        payments.c.amount != orders.c.total,
        payments.c.id != orders.c.payment_id,
        payments.c.user_id != orders.c.user_id,
    )


@rule("payment-of-order")
def payment_of_order(conn: Connection, scope: Scope) -> Iterator[Finding]:
    """A PAID order has one APPROVED payment of its total, a cancelled paid one a CANCELLED payment, others none."""
    actual = func.coalesce(payments.c.status, NONE)
    statement = (
        select(orders.c.id, EXPECTED, orders.c.total, actual, func.coalesce(payments.c.amount, 0), payments.c.user_id)
        .join_from(orders, payments, payments.c.order_id == orders.c.id, isouter=True)
        .where(or_(actual != EXPECTED, func.coalesce(differs(), False)))
    )
    for id_, should, total, status, amount, user_id in scope.rows(conn, statement):
        wanted = should if should == NONE else f"{should} {total}"
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
    payment by a gateway moved no points."""
    paid = select(
        payments.c.order_id.label("id"),
        payments.c.user_id.label("row_id"),
        payments.c.id.label("payment_id"),
        case((payments.c.method == constants.POINTS, payments.c.amount), else_=0).label("amount"),
        one_if(payments.c.status == constants.CANCELLED).label("cancelled"),
        one("payments"),
    )
    both = stack(paid, moves("points", MOVES, ledger.c.delta, *map(with_note, MOVES)))
    total, uses, refunds = (func.sum(both.c[name]) for name in ("delta", constants.USE, constants.REFUND))
    amount, cancelled = func.sum(both.c.amount), func.sum(both.c.cancelled) > 0
    once = one_if(amount > 0)
    expected = case((cancelled, 0), else_=-amount)
    wrong = or_(total != expected, uses != once, refunds != case((cancelled, once), else_=0))
    statement = (
        select(func.max(both.c.payment_id).label("id"), both.c.row_id, expected, total, uses, refunds)
        .group_by(both.c.id, both.c.row_id)
        .having(func.sum(both.c.payments) > 0, wrong)
    )
    for id_, user_id, should, delta, used, refunded in scope.rows(conn, statement):
        found = f"{delta} by {used} x {constants.USE}, {refunded} x {constants.REFUND}"
        yield f"payment:{id_} points:{user_id}", int(should), found


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
