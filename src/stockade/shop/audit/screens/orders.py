"""Screens of what orders moved: the stock of each line, and the points of each payment."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    Subquery,
    and_,
    case,
    func,
    literal_column,
    not_,
    or_,
    select,
)

from stockade.service.audit.stack import many_groups, one, one_if, stack
from stockade.shop.audit import orders, payments, records
from stockade.shop.audit.orders import MOVES, OVER
from stockade.shop.audit.payments import EXPECTED, NONE, UNPAID
from stockade.shop.audit.screen import Screen, flags
from stockade.shop.model.constants import (
    CANCELLED,
    DEDUCT,
    PAID,
    PAYING,
    POINTS,
    REFUND,
    RELEASE,
    RESERVE,
    RESERVED,
    RESTORE,
    USE,
)
from stockade.shop.model.tables import order_lines
from stockade.shop.model.tables import orders as orders_
from stockade.shop.model.tables import payments as payments_
from stockade.store.schema.tables import ledger

# Each note has a decimal place, so a sum says which entries there are. No sound line or payment has more than three
# entries, and `entries` counts them: so no place can overflow into the next.
_CODES = {RESERVE: 1, DEDUCT: 10, RELEASE: 100, RESTORE: 1000, USE: 1, REFUND: 10}
_MOST = 3
# Cancellations subtract the entries that they made, and the sums are then those of what is left. So many of them cannot
# hide in the next place either.
_MOST_CANCELLATIONS = 9

# States of an order, as numbers because they stand in a sum; a sum over several lines is unsound anyway.
_IS_RESERVED, _IS_PAID, _IS_REFUNDED, _IS_RELEASED, _IS_UNKNOWN = 1, 2, 3, 4, 0
# States of a payment: by points, refunded to points, without points.
_BY_POINTS, _TO_POINTS, _NO_POINTS = 1, 2, 3


def _sum(*notes: str) -> int:
    """The sum of one entry of each note."""
    return sum(_CODES[note] for note in notes)


def _codes(notes: Sequence[str]) -> ColumnElement[int]:
    return case({note: _CODES[note] for note in notes}, value=ledger.c.note, else_=0).label("notes")


def by_line(_dialect: str) -> Select[Any]:
    """Each line of an order beside the entries that moved its stock."""
    over, paid = orders_.c.status.in_(OVER), orders_.c.payment_id != ""
    state = case(
        (orders_.c.status.in_((RESERVED, PAYING)), _IS_RESERVED),
        (orders_.c.status == PAID, _IS_PAID),
        (and_(over, paid), _IS_REFUNDED),
        (over, _IS_RELEASED),
        else_=_IS_UNKNOWN,
    )
    lines = select(
        order_lines.c.order_id.label("id"),
        order_lines.c.sku_id.label("row_id"),
        order_lines.c.quantity,
        state.label("state"),
        one("lines"),
    ).join_from(order_lines, orders_, orders_.c.id == order_lines.c.order_id)
    both = stack(
        lines,
        orders.moves("stock", MOVES, ledger.c.delta, ledger.c.held, _codes(MOVES), one("entries")),
        _cancellations(),
    )
    names = ("quantity", "state", "lines", "delta", "held", "notes", "entries", "cancellations")
    sums = (func.sum(both.c[name]).label(name) for name in names)
    group = many_groups(select(both.c.id, both.c.row_id, *sums).group_by(both.c.id, both.c.row_id)).subquery()
    too_many = or_(group.c.entries > _MOST, group.c.cancellations > _MOST_CANCELLATIONS)
    unsound = or_(not_(_sound_line(group)), group.c.lines > 1, too_many)
    return flags(group, stray=group.c.lines == 0, unsound=and_(group.c.lines > 0, unsound))


def _cancellations() -> Select[Any]:
    """What was cancelled of each line, with the negative of its quantity and of the entries that gave it back."""
    each = orders.cancellations().subquery()
    notes = _CODES[RELEASE] * each.c[RELEASE] + _CODES[RESTORE] * each.c[RESTORE]
    return select(
        each.c.id,
        each.c.row_id,
        (-each.c.cancelled).label("quantity"),
        notes.label("notes"),
        literal_column("-1", Integer).label("entries"),
        one("cancellations"),
    )


def _sound_line(line: Subquery) -> Any:
    """What the entries of a line are in each state of its order. An order that was paid at once reserved nothing.

    Of a line that was cancelled as a whole, no further entry followed.
    """
    state, notes, delta, held = line.c.state, line.c.notes, line.c.delta, line.c.held
    gone = and_(delta == -line.c.quantity, held == 0)
    back = and_(delta == 0, held == 0)
    nothing_left = and_(line.c.quantity == 0, back)
    taken = notes.in_((_sum(RESERVE), _sum(DEDUCT), _sum(RESERVE, DEDUCT)))
    return or_(
        and_(nothing_left, state.in_((_IS_PAID, _IS_REFUNDED)), taken),
        and_(nothing_left, state == _IS_RELEASED, notes == _sum(RESERVE)),
        and_(state == _IS_RESERVED, notes == _sum(RESERVE), delta == 0, held == line.c.quantity),
        and_(state == _IS_PAID, notes.in_((_sum(DEDUCT), _sum(RESERVE, DEDUCT))), gone),
        and_(state == _IS_REFUNDED, notes.in_((_sum(DEDUCT, RESTORE), _sum(RESERVE, DEDUCT, RESTORE))), back),
        and_(state == _IS_RELEASED, notes == _sum(RESERVE, RELEASE), back),
    )


def by_payment(_dialect: str) -> Select[Any]:
    """Each payment beside its order and the entries that moved its points."""
    group = _payments_and_moves()
    sound = or_(
        and_(group.c.state == _BY_POINTS, group.c.notes == _sum(USE), group.c.delta == -group.c.amount),
        and_(
            group.c.state == _TO_POINTS,
            group.c.notes == case((group.c.amount == 0, _sum(USE)), else_=_sum(USE, REFUND)),
            group.c.delta == 0,
        ),
        and_(group.c.state == _NO_POINTS, group.c.notes == 0, group.c.delta == 0),
    )
    too_many = or_(group.c.entries > _MOST, group.c.cancellations > _MOST_CANCELLATIONS)
    unsound = or_(not_(sound), group.c.payments > 1, too_many)
    # The flags below show that every payment has an order that expects it, and that no order has two. So no payment is
    # missing if there are as many payments as orders that expect one.
    expected = select(func.count()).where(EXPECTED != NONE).select_from(orders_).scalar_subquery()
    there = select(func.count()).select_from(payments_).scalar_subquery()
    found = flags(
        group,
        stray=group.c.payments == 0,
        orphan=group.c.orphan > 0,
        other=or_(group.c.other > 0, group.c.payments > 1),
        unsound=and_(group.c.payments > 0, unsound),
    )
    return found.add_columns(one_if(expected != there).label("missing"))


def _payments_and_moves() -> Subquery:
    other = or_(payments.differs(), payments_.c.status != EXPECTED)
    state = case(
        (or_(payments_.c.method != POINTS, payments_.c.amount == 0), _NO_POINTS),
        (payments_.c.status == CANCELLED, _TO_POINTS),
        else_=_BY_POINTS,
    )
    paid = select(
        payments_.c.order_id.label("id"),
        payments_.c.user_id.label("row_id"),
        payments_.c.amount,
        state.label("state"),
        one_if(other).label("other"),
        one_if(orders_.c.id.is_(None)).label("orphan"),
        one("payments"),
    ).join_from(payments_, orders_, orders_.c.id == payments_.c.order_id, isouter=True)
    paid = paid.join(UNPAID, UNPAID.c.order_id == payments_.c.order_id, isouter=True)
    both = stack(
        paid,
        orders.moves("points", payments.MOVES, ledger.c.delta, _codes(payments.MOVES), one("entries")),
        _given_back(),
    )
    names = ("amount", "state", "other", "orphan", "payments", "delta", "notes", "entries", "cancellations")
    sums = (func.sum(both.c[name]).label(name) for name in names)
    return many_groups(select(both.c.id, both.c.row_id, *sums).group_by(both.c.id, both.c.row_id)).subquery()


def _given_back() -> Select[Any]:
    """What cancelled lines gave back of each payment, with the negative of its amount and of the entry."""
    each = payments.given_back().subquery()
    return select(
        each.c.id,
        each.c.row_id,
        (-each.c.given).label("amount"),
        literal_column(str(-_CODES[REFUND]), Integer).label("notes"),
        literal_column("-1", Integer).label("entries"),
        one("cancellations"),
    )


# `by_request` leaves out effects that name an order or a payment as their request: these screens look at them.
_EFFECTS = (records.request_missing, records.refused_but_done)

BY_LINE = Screen(
    "by_line",
    by_line,
    {
        "stray": (orders.stray_movement, *_EFFECTS),
        "unsound": (orders.paid_deducted_once, orders.reserved_held_once, orders.restored_once),
    },
)
BY_PAYMENT = Screen(
    "by_payment",
    by_payment,
    {
        "stray": (payments.stray_points, *_EFFECTS),
        "orphan": (payments.payment_without_order, *_EFFECTS),
        "other": (payments.payment_of_order,),
        "missing": (payments.payment_of_order,),
        "unsound": (payments.points_of_payment,),
    },
)
