"""Rules about orders: their sums, their states, and what they did to stock."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    Subquery,
    and_,
    case,
    func,
    literal_column,
    or_,
    select,
)

from stockade.service.audit.rule_types import Finding, Scope, rule
from stockade.service.audit.stack import one, one_if, stack
from stockade.shop.model import constants
from stockade.shop.model.tables import cancelled_lines, order_lines, orders
from stockade.store.schema.tables import ledger

MOVES = (constants.RESERVE, constants.DEDUCT, constants.RELEASE, constants.RESTORE)
FIRST = case((orders.c.pay == constants.POINTS, constants.PAID), else_=constants.RESERVED)
OVER = (constants.CANCELLED, constants.EXPIRED)
BEYOND = literal_column(str(2**62), BigInteger)  # larger than any quantity


@rule("order-total")
def order_total(conn: Connection, scope: Scope) -> Iterator[Finding]:
    """Each order has lines, and its total is their sum."""
    lines = select(
        order_lines.c.order_id.label("id"), (order_lines.c.quantity * order_lines.c.price).label("price"), one("lines")
    )
    both = stack(select(orders.c.id, orders.c.total, one("orders")), lines)
    total, price, count = (func.sum(both.c[name]) for name in ("total", "price", "lines"))
    statement = (
        select(both.c.id, price, total, count)
        .group_by(both.c.id)
        .having(func.sum(both.c.orders) > 0, or_(count == 0, price != total))
    )
    for id_, expected, actual, lines_ in scope.rows(conn, statement):
        yield f"order:{id_}", int(expected) if lines_ else "lines", int(actual)


@rule("cancelled-lines")
def cancelled_units(conn: Connection, scope: Scope) -> Iterator[Finding]:
    """Of a line at most its quantity was cancelled, each time for its price, and no unit was without a line.

    Those of a paid order name its payment.
    """
    ordered = select(
        order_lines.c.order_id.label("id"),
        order_lines.c.line,
        order_lines.c.sku_id,
        order_lines.c.product_id,
        order_lines.c.quantity,
        order_lines.c.price,
    ).subquery()
    less = cancelled_lines.c
    units = func.sum(less.quantity).over(partition_by=(less.order_id, less.line))
    found = (
        select(
            less.order_id,
            less.sku_id,
            func.coalesce(ordered.c.quantity, 0).label("ordered"),
            units.label("units"),
            one_if(
                or_(
                    ordered.c.id.is_(None),
                    less.sku_id != ordered.c.sku_id,
                    less.product_id != ordered.c.product_id,
                    less.amount != less.quantity * ordered.c.price,
                    and_(less.payment_id != "", less.payment_id != func.coalesce(orders.c.payment_id, "")),
                )
            ).label("other"),
        )
        .select_from(cancelled_lines)
        .join(ordered, and_(ordered.c.id == less.order_id, ordered.c.line == less.line), isouter=True)
        .join(orders, orders.c.id == less.order_id, isouter=True)
        .subquery()
    )
    statement = select(found.c.order_id, found.c.sku_id, found.c.ordered, found.c.units, found.c.other)
    wrong = or_(found.c.units > found.c.ordered, found.c.other == 1)
    for id_, sku_id, most, cancelled, other in scope.rows(conn, statement.where(wrong)):
        expected = "the line, at its price, of its payment" if other else f"at most {most} cancelled"
        yield f"order:{id_} stock:{sku_id}", expected, f"{int(cancelled)} cancelled"


@rule("illegal-step")
def illegal_step(conn: Connection, scope: Scope) -> Iterator[Finding]:
    """An order goes from RESERVED to PAYING, PAID, CANCELLED or EXPIRED, from PAYING back to RESERVED, to PAID or
    CANCELLED, and from PAID to CANCELLED; no other way."""
    steps = _steps()
    before = func.coalesce(steps.c.before, FIRST)
    legal = or_(
        and_(before == constants.RESERVED, steps.c.note.in_([constants.PAYING, constants.PAID, *OVER])),
        and_(
            before == constants.PAYING,
            steps.c.note.in_([constants.RESERVED, constants.PAID, constants.CANCELLED]),
        ),
        and_(before == constants.PAID, steps.c.note == constants.CANCELLED),
    )
    statement = (
        select(orders.c.id, before, steps.c.note).join_from(steps, orders, orders.c.id == steps.c.row_id).where(~legal)
    )
    for id_, was, became in scope.rows(conn, statement):
        yield f"order:{id_}", f"a legal step from {was}", became


@rule("order-status")
def order_status(conn: Connection, scope: Scope) -> Iterator[Finding]:
    """An order is in the state of its last step."""
    steps = _steps()
    last = select(steps.c.row_id.label("id"), steps.c.note).where(steps.c.following.is_(None))
    both = stack(select(orders.c.id, orders.c.status, FIRST.label("first"), one("orders")), last)
    status, note = func.max(both.c.status), func.max(both.c.note)
    expected = case((note == "", func.max(both.c.first)), else_=note)
    statement = (
        select(both.c.id, expected, status).group_by(both.c.id).having(func.sum(both.c.orders) > 0, expected != status)
    )
    for id_, last_step, is_ in scope.rows(conn, statement):
        yield f"order:{id_}", last_step, is_


@rule("paid-deducted-once")
def paid_deducted_once(conn: Connection, scope: Scope) -> Iterator[Finding]:
    """Of each line of a PAID order exactly what is left was deducted, in one entry, and nothing is reserved.

    What was cancelled came back in one entry each time. A line of which nothing was left was never deducted.
    """
    lines = Lines(orders.c.status == constants.PAID)
    wrong = or_(
        lines.sum("delta") != -lines.least,
        lines.sum("delta") != -lines.most,
        lines.sum("held") != 0,
        lines.sum(constants.DEDUCT).not_in((1, lines.any_left)),
        lines.sum(constants.RELEASE) != 0,
        lines.sum(constants.RESTORE) != 0,
    )
    yield from lines.found(conn, scope, wrong)


@rule("reserved-held-once")
def reserved_held_once(conn: Connection, scope: Scope) -> Iterator[Finding]:
    """Of each line of a RESERVED or PAYING order exactly what is left is reserved, in one entry, and nothing was
    deducted. What was cancelled was released in one entry each time."""
    lines = Lines(orders.c.status.in_((constants.RESERVED, constants.PAYING)))
    wrong = or_(
        lines.sum("delta") != 0,
        lines.sum("held") != lines.least,
        lines.sum("held") != lines.most,
        lines.sum(constants.RESERVE) != 1,
        lines.sum(constants.RELEASE) != 0,
        lines.sum(constants.DEDUCT) != 0,
    )
    yield from lines.found(conn, scope, wrong)


@rule("restored-once")
def restored_once(conn: Connection, scope: Scope) -> Iterator[Finding]:
    """Each line of a CANCELLED or EXPIRED order took its quantity once and gave it back once.

    What was cancelled before came back in one entry each time; then the last entry gave back what was left.
    """
    lines = Lines(orders.c.status.in_(OVER))
    paid = func.max(lines.both.c.payment_id) != ""
    deducted = lines.sum(constants.DEDUCT).in_((1, lines.any_left))
    sold_and_back = and_(deducted, lines.sum(constants.RESTORE) == lines.any_left, lines.sum(constants.RELEASE) == 0)
    held_and_freed = and_(lines.sum(constants.RESERVE) == 1, lines.sum(constants.RELEASE) == lines.any_left)
    wrong = or_(
        lines.sum("delta") != 0,
        lines.sum("held") != 0,
        and_(paid, ~sold_and_back),
        and_(~paid, ~held_and_freed),
    )
    yield from lines.found(conn, scope, wrong)


@rule("stray-movement")
def stray_movement(conn: Connection, scope: Scope) -> Iterator[Finding]:
    """Every movement of stock for an order belongs to a line of an existing order: a refused order moves nothing."""
    lines = select(order_lines.c.order_id.label("id"), order_lines.c.sku_id.label("row_id"), one("lines"))
    both = stack(moves("stock", MOVES, ledger.c.delta, ledger.c.held), lines)
    delta, held = func.sum(both.c.delta), func.sum(both.c.held)
    statement = (
        select(both.c.id, both.c.row_id, delta, held)
        .group_by(both.c.id, both.c.row_id)
        .having(func.sum(both.c.lines) == 0)
    )
    for order_id, sku_id, moved, reserved in scope.rows(conn, statement):
        yield f"order:{order_id} stock:{sku_id}", "no movement", f"{moved} on hand, {reserved} reserved"


def _steps() -> Subquery:
    """The entries of orders, each with the note before and the note after it."""
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
        .where(ledger.c.kind == "order", ledger.c.note != constants.CANCEL_LINES)
        .subquery()
    )


def moves(kind: str, notes: Sequence[str], *columns: ColumnElement[Any]) -> Select[Any]:
    """The ledger entries of orders with these notes: `id` of the order, `row_id` of the changed row, and columns."""
    return select(ledger.c.ref.label("id"), ledger.c.row_id, *columns).where(
        ledger.c.kind == kind, ledger.c.note.in_(notes)
    )


def with_note(note: str) -> ColumnElement[int]:
    """1 in the entries with this note, under the name of the note."""
    return one_if(ledger.c.note == note).label(note)


def cancellations() -> Select[Any]:
    """What was cancelled of each line, with the negative of the entry that gave it back.

    So a sum over a line, its movements and these rows is that of a line with the units that are left.
    """
    paid = cancelled_lines.c.payment_id != ""
    return select(
        cancelled_lines.c.order_id.label("id"),
        cancelled_lines.c.sku_id.label("row_id"),
        cancelled_lines.c.quantity.label("cancelled"),
        (-one_if(~paid)).label(constants.RELEASE),
        (-one_if(paid)).label(constants.RESTORE),
    )


class Lines:
    """The lines of some orders, stacked with all movements of stock for orders and with what was cancelled.

    Args:
        which: condition on the orders.
    """

    def __init__(self, which: ColumnElement[bool]) -> None:
        quantity = order_lines.c.quantity
        lines = (
            select(
                orders.c.id,
                order_lines.c.sku_id.label("row_id"),
                orders.c.status,
                orders.c.payment_id,
                quantity.label("most"),
                (BEYOND - quantity).label("least"),
                one("lines"),
            )
            .join_from(orders, order_lines, order_lines.c.order_id == orders.c.id)
            .where(which)
        )
        entries = moves("stock", MOVES, ledger.c.delta, ledger.c.held, *map(with_note, MOVES))
        self.both = stack(lines, entries, cancellations())
        self.most: ColumnElement[int] = func.max(self.both.c.most) - self.sum("cancelled")
        # Differs from `most` where an order has two lines of one SKU. A minimum would be 0, the value of the movements.
        self.least: ColumnElement[int] = BEYOND - func.max(self.both.c.least) - self.sum("cancelled")
        # 1 while there are units of the line that were not cancelled, else 0
        self.any_left: ColumnElement[int] = one_if(self.most > 0)

    def sum(self, name: str) -> ColumnElement[int]:
        """The sum of a counter, or the number of entries with a note, without those of cancellations."""
        return func.sum(self.both.c[name])

    def found(self, conn: Connection, scope: Scope, wrong: ColumnElement[bool]) -> Iterator[Finding]:
        """The lines for which `wrong` is true, and what was moved for them."""
        moved = [self.sum(name).label(f"{name}_") for name in ("delta", "held", *MOVES)]
        statement = (
            select(
                self.both.c.id,
                func.max(self.both.c.status).label("status"),
                self.both.c.row_id,
                self.most.label("quantity"),
                *moved,
            )
            .group_by(self.both.c.id, self.both.c.row_id)
            .having(self.sum("lines") > 0, wrong)
        )
        for row in scope.rows(conn, statement):
            counts = {note: int(getattr(row, f"{note}_")) for note in MOVES}
            entries = ", ".join(f"{count} x {note}" for note, count in counts.items() if count) or "no entries"
            yield (
                f"order:{row.id} stock:{row.row_id}",
                f"{row.status} with {row.quantity}",
                f"{row.delta_} on hand, {row.held_} reserved by {entries}",
            )
