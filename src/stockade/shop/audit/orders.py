"""Rules about orders: their sums, their states, and what they did to stock."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Subquery, and_, case, func, or_, select

from stockade.shop import words
from stockade.shop.audit.finding import Scope, Violation
from stockade.store.tables import ledger, order_lines, orders

MOVES = (words.RESERVE, words.DEDUCT, words.RELEASE, words.RESTORE)
FIRST = case((orders.c.pay == words.POINTS, words.PAID), else_=words.RESERVED)
OVER = (words.CANCELLED, words.EXPIRED)


def order_total(conn: Connection, scope: Scope) -> Iterator[Violation]:
    """Each order has lines, and its total is their sum."""
    sums = (
        select(order_lines.c.order_id, func.sum(order_lines.c.quantity * order_lines.c.price).label("total"))
        .group_by(order_lines.c.order_id)
        .subquery()
    )
    statement = (
        select(orders.c.id, sums.c.total, orders.c.total)
        .join_from(orders, sums, sums.c.order_id == orders.c.id, isouter=True)
        .where(func.coalesce(sums.c.total, -1) != orders.c.total)
    )
    for id_, expected, actual in scope.rows(conn, statement):
        yield Violation("order-total", f"order:{id_}", "lines" if expected is None else int(expected), actual)


def illegal_step(conn: Connection, scope: Scope) -> Iterator[Violation]:
    """An order goes from RESERVED to PAID, CANCELLED or EXPIRED, and from PAID to CANCELLED; no other way."""
    steps = _steps()
    before = func.coalesce(steps.c.before, FIRST)
    legal = or_(
        and_(before == words.RESERVED, steps.c.note.in_([words.PAID, *OVER])),
        and_(before == words.PAID, steps.c.note == words.CANCELLED),
    )
    statement = (
        select(orders.c.id, before, steps.c.note).join_from(steps, orders, orders.c.id == steps.c.row_id).where(~legal)
    )
    for id_, was, became in scope.rows(conn, statement):
        yield Violation("illegal-step", f"order:{id_}", f"a legal step from {was}", became)


def order_status(conn: Connection, scope: Scope) -> Iterator[Violation]:
    """An order is in the state of its last step."""
    steps = _steps()
    last = select(steps.c.row_id, steps.c.note).where(steps.c.following.is_(None)).subquery()
    expected = func.coalesce(last.c.note, FIRST)
    statement = (
        select(orders.c.id, expected, orders.c.status)
        .join_from(orders, last, last.c.row_id == orders.c.id, isouter=True)
        .where(expected != orders.c.status)
    )
    for id_, last_step, status in scope.rows(conn, statement):
        yield Violation("order-status", f"order:{id_}", last_step, status)


def paid_deducted_once(conn: Connection, scope: Scope) -> Iterator[Violation]:
    """Of each line of a PAID order exactly its quantity was deducted, in one entry, and nothing is reserved."""
    moves = _moves()
    wrong = or_(
        _sum(moves, "delta") != -order_lines.c.quantity,
        _sum(moves, "held") != 0,
        _sum(moves, words.DEDUCT) != 1,
        _sum(moves, words.RESTORE) != 0,
    )
    yield from _wrong_lines(
        conn, scope, "paid-deducted-once", _lines(moves).where(orders.c.status == words.PAID, wrong)
    )


def reserved_held_once(conn: Connection, scope: Scope) -> Iterator[Violation]:
    """Of each line of a RESERVED order exactly its quantity is reserved, in one entry, and nothing was deducted."""
    moves = _moves()
    wrong = or_(
        _sum(moves, "delta") != 0,
        _sum(moves, "held") != order_lines.c.quantity,
        _sum(moves, words.RESERVE) != 1,
        _sum(moves, words.DEDUCT) != 0,
    )
    lines = _lines(moves).where(orders.c.status == words.RESERVED, wrong)
    yield from _wrong_lines(conn, scope, "reserved-held-once", lines)


def restored_once(conn: Connection, scope: Scope) -> Iterator[Violation]:
    """Each line of a CANCELLED or EXPIRED order took what it took once, and gave it back once."""
    moves = _moves()
    paid = orders.c.payment_id != ""
    sold_and_back = and_(_sum(moves, words.DEDUCT) == 1, _sum(moves, words.RESTORE) == 1)
    held_and_freed = and_(_sum(moves, words.RESERVE) == 1, _sum(moves, words.RELEASE) == 1)
    wrong = or_(
        _sum(moves, "delta") != 0,
        _sum(moves, "held") != 0,
        and_(paid, ~sold_and_back),
        and_(~paid, ~held_and_freed),
    )
    yield from _wrong_lines(conn, scope, "restored-once", _lines(moves).where(orders.c.status.in_(OVER), wrong))


def stray_movement(conn: Connection, scope: Scope) -> Iterator[Violation]:
    """Whatever moved stock for an order is a line of an order that exists: a refused one moves nothing."""
    moves = _moves()
    statement = (
        select(moves.c.ref, moves.c.row_id, moves.c.delta, moves.c.held)
        .join_from(
            moves,
            order_lines,
            and_(order_lines.c.order_id == moves.c.ref, order_lines.c.sku_id == moves.c.row_id),
            isouter=True,
        )
        .where(order_lines.c.order_id.is_(None))
    )
    for order_id, sku_id, delta, held in scope.rows(conn, statement):
        yield Violation(
            "stray-movement", f"order:{order_id} stock:{sku_id}", "no movement", f"{delta} on hand, {held} reserved"
        )


def _steps() -> Subquery:
    """The entries of orders with the one before and the one behind."""
    order = [ledger.c.version, ledger.c.request_id]
    before = func.lag(ledger.c.note).over(partition_by=ledger.c.row_id, order_by=order)
    following = func.lead(ledger.c.note).over(partition_by=ledger.c.row_id, order_by=order)
    return (
        select(
            ledger.c.row_id,
            ledger.c.note,
            before.label("before"),
            following.label("following"),
        )
        .where(ledger.c.kind == "order")
        .subquery()
    )


def _moves() -> Subquery:
    """What each order did to each stock row: sums of both counters, and how many entries of each note."""
    notes = [func.sum(case((ledger.c.note == note, 1), else_=0)).label(note) for note in MOVES]
    return (
        select(
            ledger.c.ref,
            ledger.c.row_id,
            func.sum(ledger.c.delta).label("delta"),
            func.sum(ledger.c.held).label("held"),
            *notes,
        )
        .where(ledger.c.kind == "stock", ledger.c.note.in_(MOVES))
        .group_by(ledger.c.ref, ledger.c.row_id)
        .subquery()
    )


def _sum(moves: Subquery, name: str) -> ColumnElement[Any]:
    return func.coalesce(moves.c[name], 0)


def _lines(moves: Subquery) -> Select[Any]:
    """Lines with their order and what was moved for them."""
    told = [_sum(moves, name).label(f"{name}_") for name in ("delta", "held", *MOVES)]
    return (
        select(orders.c.id, orders.c.status, order_lines.c.sku_id, order_lines.c.quantity, *told)
        .join_from(orders, order_lines, order_lines.c.order_id == orders.c.id)
        .join(
            moves,
            and_(moves.c.ref == order_lines.c.order_id, moves.c.row_id == order_lines.c.sku_id),
            isouter=True,
        )
    )


def _wrong_lines(conn: Connection, scope: Scope, rule: str, statement: Select[Any]) -> Iterator[Violation]:
    for row in scope.rows(conn, statement):
        counts = {note: int(getattr(row, f"{note}_")) for note in MOVES}
        entries = ", ".join(f"{count} x {note}" for note, count in counts.items() if count) or "no entries"
        yield Violation(
            rule,
            f"order:{row.id} stock:{row.sku_id}",
            f"{row.status} with {row.quantity}",
            f"{row.delta_} on hand, {row.held_} reserved by {entries}",
        )
