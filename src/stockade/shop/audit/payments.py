"""Rules about payments: one for each paid order, and the points that it took."""

from collections.abc import Iterator

from sqlalchemy import Connection, Subquery, and_, case, func, or_, select

from stockade.shop import words
from stockade.shop.audit.finding import Scope, Violation
from stockade.store.tables import ledger, orders, payments

NONE = "none"


def payment_of_order(conn: Connection, scope: Scope) -> Iterator[Violation]:
    """A PAID order has one APPROVED payment of its total, a cancelled paid one a CANCELLED payment, others none."""
    expected = case(
        (orders.c.status == words.PAID, words.APPROVED),
        (and_(orders.c.status == words.CANCELLED, orders.c.payment_id != ""), words.CANCELLED),
        else_=NONE,
    )
    actual = func.coalesce(payments.c.status, NONE)
    other = or_(
        payments.c.amount != orders.c.total,
        payments.c.id != orders.c.payment_id,
        payments.c.user_id != orders.c.user_id,
    )
    statement = (
        select(orders.c.id, expected, orders.c.total, actual, func.coalesce(payments.c.amount, 0), payments.c.user_id)
        .join_from(orders, payments, payments.c.order_id == orders.c.id, isouter=True)
        .where(or_(expected != actual, func.coalesce(other, False)))
    )
    for id_, should, total, status, amount, user_id in scope.rows(conn, statement):
        wanted = should if should == NONE else f"{should} {total}"
        found = status if status == NONE else f"{status} {amount} of {user_id}"
        yield Violation("payment-of-order", f"order:{id_}", f"payment {wanted}", f"payment {found}")


def payment_without_order(conn: Connection, scope: Scope) -> Iterator[Violation]:
    """Every payment has its order."""
    statement = (
        select(payments.c.id, payments.c.order_id)
        .join_from(payments, orders, orders.c.id == payments.c.order_id, isouter=True)
        .where(orders.c.id.is_(None))
    )
    for id_, order_id in scope.rows(conn, statement):
        yield Violation("payment-without-order", f"payment:{id_}", f"order:{order_id}", "no such order")


def points_of_payment(conn: Connection, scope: Scope) -> Iterator[Violation]:
    """An APPROVED payment took its amount from its user once; a CANCELLED one also gave it back once."""
    moves = _moves()
    total, uses, refunds = (func.coalesce(moves.c[name], 0) for name in ("delta", words.USE, words.REFUND))
    once = case((payments.c.amount > 0, 1), else_=0)
    cancelled = payments.c.status == words.CANCELLED
    expected = case((cancelled, 0), else_=-payments.c.amount)
    wrong = or_(total != expected, uses != once, refunds != case((cancelled, once), else_=0))
    statement = (
        select(payments.c.id, payments.c.user_id, expected, total, uses, refunds)
        .join_from(
            payments,
            moves,
            and_(moves.c.ref == payments.c.order_id, moves.c.row_id == payments.c.user_id),
            isouter=True,
        )
        .where(payments.c.method == words.POINTS, wrong)
    )
    for id_, user_id, should, delta, used, refunded in scope.rows(conn, statement):
        found = f"{delta} by {used} x {words.USE}, {refunded} x {words.REFUND}"
        yield Violation("points-of-payment", f"payment:{id_} points:{user_id}", int(should), found)


def stray_points(conn: Connection, scope: Scope) -> Iterator[Violation]:
    """Points are used and refunded only for a payment that exists."""
    moves = _moves()
    statement = (
        select(moves.c.ref, moves.c.row_id, moves.c.delta)
        .join_from(
            moves,
            payments,
            and_(payments.c.order_id == moves.c.ref, payments.c.user_id == moves.c.row_id),
            isouter=True,
        )
        .where(payments.c.id.is_(None))
    )
    for order_id, user_id, delta in scope.rows(conn, statement):
        yield Violation("stray-points", f"order:{order_id} points:{user_id}", "no movement", int(delta))


def _moves() -> Subquery:
    """What each order did to each account."""
    notes = [func.sum(case((ledger.c.note == note, 1), else_=0)).label(note) for note in (words.USE, words.REFUND)]
    return (
        select(ledger.c.ref, ledger.c.row_id, func.sum(ledger.c.delta).label("delta"), *notes)
        .where(ledger.c.kind == "points", ledger.c.note.in_([words.USE, words.REFUND]))
        .group_by(ledger.c.ref, ledger.c.row_id)
        .subquery()
    )
