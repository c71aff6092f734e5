"""Screens of what happened to rows: the ledger by row and by version, the movements of each order line and payment."""

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    String,
    Subquery,
    and_,
    case,
    false,
    func,
    literal_column,
    not_,
    null,
    or_,
    select,
)

from stockade.shop.audit import counters, orders, payments, records
from stockade.shop.audit.counters import COUNTED, KEPT
from stockade.shop.audit.orders import FIRST, MOVES, OVER
from stockade.shop.audit.screen import Screen, flags
from stockade.shop.audit.together import one, summed, together
from stockade.shop.model import constants
from stockade.shop.model.resources import ORDER
from stockade.shop.model.tables import order_lines
from stockade.shop.model.tables import orders as orders_
from stockade.shop.model.tables import payments as payments_
from stockade.store.schema.tables import ledger

_COUNTED = tuple(resource.kind for resource in COUNTED)
_ENTRIES, _ROW = 1, 10  # in `there`: the ledger knows the row, and it is there
# What the entries of an order add to `state` is the way that it went, what its row adds is where it began and stands.
_WAYS = {"PAID": 100, "CANCELLED": 200, "EXPIRED": 300, "PAID, CANCELLED": 400}
_STATES = {constants.RESERVED: 0, constants.PAID: 10, constants.CANCELLED: 20, constants.EXPIRED: 30}
_PAID_AT_ONCE, _STRANGE = 1, 1000
_SOUND = (0, 110, 220, 330, 420, 221)
# The notes of a line's or a payment's entries, summed up; an entry counts 1 in `entries`, and no sound one has four.
_RESERVE, _DEDUCT, _RELEASE, _RESTORE = 1, 10, 100, 1000
_USE, _REFUND = 1, 10
_MOST = 3
# The state of an order's payment, '' where there is to be none.
_EXPECTED = case(
    (orders_.c.status == constants.PAID, constants.APPROVED),
    (and_(orders_.c.status == constants.CANCELLED, orders_.c.payment_id != ""), constants.CANCELLED),
    else_="",
)


def by_row(_dialect: str) -> Select[Any]:
    """Each row beside the sums of its entries; rows that nothing has changed since their INSERT are left out."""
    both = together(_entries_of_rows(), *(_rows(resource, first) for resource, first in KEPT))
    names = ("there", "version", "delta", "held", "state", "low", "out", "gap", "twice")
    sums = (func.sum(both.c[name]).label(name) for name in names)
    group = summed(select(both.c.kind, both.c.id, *sums).group_by(both.c.kind, both.c.id)).subquery()
    return flags(
        group,
        alone=group.c.there != _ENTRIES + _ROW,
        low=group.c.low > 0,
        out=group.c.out > 0,
        moved=or_(group.c.delta != 0, group.c.held != 0),
        gap=or_(group.c.version != 0, group.c.gap > 0),
        twice=group.c.twice > 0,
        state=group.c.state.not_in(_SOUND),
    )


def _entries_of_rows() -> Select[Any]:
    """The entries of each row, in the order of the ledger's key."""
    count, newest, version = func.count(), func.max(ledger.c.version), ledger.c.version
    first = case((ledger.c.kind.in_(_COUNTED), 1), else_=2)
    paid, cancelled = (func.max(case((ledger.c.note == note, version), else_=0)) for note in (constants.PAID, OVER[0]))
    way = case(
        (ledger.c.kind != ORDER.kind, 0),
        *((and_(count == 1, func.max(ledger.c.note) == note), code) for note, code in list(_WAYS.items())[:3]),
        (and_(count == 2, paid > 0, cancelled > paid), _WAYS["PAID, CANCELLED"]),
        else_=_STRANGE,
    )
    low = or_(ledger.c.amount_after < 0, ledger.c.held_after < 0, ledger.c.held_after > ledger.c.amount_after)
    return select(
        ledger.c.kind,
        ledger.c.row_id.label("id"),
        literal_column(str(_ENTRIES)).label("there"),
        newest.label("version"),
        func.sum(ledger.c.delta).label("delta"),
        func.sum(ledger.c.held).label("held"),
        way.label("state"),
        func.max(case((low, 1), else_=0)).label("low"),
        case((func.sum(ledger.c.delta) < 0, 1), else_=0).label("out"),
        case((or_(count != newest - (first - 1), func.min(version) < first), 1), else_=0).label("gap"),
        # versions of other kinds are looked at by version; an order has two entries at most, a payment one
        case((and_(ledger.c.kind.not_in(_COUNTED), count > 1, way != _WAYS["PAID, CANCELLED"]), 1), else_=0).label(
            "twice"
        ),
    ).group_by(ledger.c.kind, ledger.c.row_id)


def _rows(resource: Any, first: int) -> Select[Any]:
    """Rows with what their entries must add up to, negative, so that a sound row comes to 0."""
    table = resource.table
    none: ColumnElement[Any] = literal_column("0")
    counted = resource.kind in _COUNTED
    amount, held = (table.c[name] for name in resource.counters) if counted else (none, none)
    touched = [table.c.version != first - 1]
    state: ColumnElement[Any] = none
    if counted:
        touched += [amount != 0, held != 0]
    if resource is ORDER:
        touched.append(table.c.status != FIRST)
        state = case(_STATES, value=table.c.status, else_=_STRANGE)
        state = state + case((FIRST == constants.PAID, _PAID_AT_ONCE), else_=0)
    low = or_(amount < 0, held < 0, held > amount) if counted else false()
    return select(
        literal_column(f"'{resource.kind}'", String).label("kind"),
        table.c.id,
        literal_column(str(_ROW)).label("there"),
        (-table.c.version).label("version"),
        (-amount).label("delta"),
        (-held).label("held"),
        state.label("state"),
        case((low, 1), else_=0).label("low"),
    ).where(or_(*touched))


def by_version(dialect: str) -> Select[Any]:
    """Each entry of stock and points beside the one with the version before it."""
    if dialect in ("mariadb", "mysql"):
        suspects = counters.out_of_step().subquery()  # a window over the whole ledger takes them minutes
        return flags(suspects, broken=suspects.c.row_id.is_not(null()))
    place = [ledger.c.kind, ledger.c.row_id]
    version, amount, held = (
        func.coalesce(func.lag(column).over(partition_by=place, order_by=ledger.c.version), 0)
        for column in (ledger.c.version, ledger.c.amount_after, ledger.c.held_after)
    )
    steps = (
        select(
            (ledger.c.version - version).label("step"),
            (amount + ledger.c.delta - ledger.c.amount_after).label("amount"),
            (held + ledger.c.held - ledger.c.held_after).label("held"),
        )
        .where(ledger.c.kind.in_(_COUNTED))
        .subquery()
    )
    return flags(steps, broken=or_(steps.c.step != 1, steps.c.amount != 0, steps.c.held != 0))


def by_line(_dialect: str) -> Select[Any]:
    """Each line of an order beside what was moved for it."""
    over, paid = orders_.c.status.in_(OVER), orders_.c.payment_id != ""
    state = case(
        (orders_.c.status == constants.RESERVED, 1),
        (orders_.c.status == constants.PAID, 2),
        (and_(over, paid), 3),
        (over, 4),
        else_=0,
    )
    lines = select(
        order_lines.c.order_id.label("id"),
        order_lines.c.sku_id,
        order_lines.c.quantity,
        state.label("state"),
        one("lines"),
    ).join_from(order_lines, orders_, orders_.c.id == order_lines.c.order_id)
    notes = {
        constants.RESERVE: _RESERVE,
        constants.DEDUCT: _DEDUCT,
        constants.RELEASE: _RELEASE,
        constants.RESTORE: _RESTORE,
    }
    moves = select(
        ledger.c.ref.label("id"),
        ledger.c.row_id.label("sku_id"),
        ledger.c.delta,
        ledger.c.held,
        case(notes, value=ledger.c.note, else_=0).label("notes"),
        one("entries"),
    ).where(ledger.c.kind == "stock", ledger.c.note.in_(MOVES))
    both = together(lines, moves)
    names = ("quantity", "state", "lines", "delta", "held", "notes", "entries")
    sums = (func.sum(both.c[name]).label(name) for name in names)
    group = summed(select(both.c.id, both.c.sku_id, *sums).group_by(both.c.id, both.c.sku_id)).subquery()
    back = and_(group.c.delta == 0, group.c.held == 0)
    sound = or_(
        and_(group.c.state == 1, group.c.notes == _RESERVE, group.c.delta == 0, group.c.held == group.c.quantity),
        and_(
            group.c.state == 2,
            group.c.notes.in_((_DEDUCT, _RESERVE + _DEDUCT)),
            group.c.delta == -group.c.quantity,
            group.c.held == 0,
        ),
        and_(group.c.state == 3, group.c.notes.in_((_DEDUCT + _RESTORE, _RESERVE + _DEDUCT + _RESTORE)), back),
        and_(group.c.state == 4, group.c.notes == _RESERVE + _RELEASE, back),
    )
    unsound = or_(not_(sound), group.c.lines > 1, group.c.entries > _MOST)
    return flags(group, stray=group.c.lines == 0, unsound=and_(group.c.lines > 0, unsound))


def by_payment(_dialect: str) -> Select[Any]:
    """Each payment beside its order and the points that were moved for it."""
    group = _payments_and_moves()
    sound = or_(
        and_(group.c.state == 1, group.c.notes == _USE, group.c.delta == -group.c.amount),
        and_(group.c.state == 2, group.c.notes == _USE + _REFUND, group.c.delta == 0),
        and_(group.c.state == 3, group.c.notes == 0, group.c.delta == 0),
        group.c.state == 4,
    )
    unsound = or_(not_(sound), group.c.payments > 1, group.c.entries > _MOST)
    # every payment has an order that expects it, no two have the same: as many as expect one are all of them
    wanted = select(func.count()).where(_EXPECTED != "").select_from(orders_).scalar_subquery()
    there = select(func.count()).select_from(payments_).scalar_subquery()
    found = flags(
        group,
        stray=group.c.payments == 0,
        orphan=group.c.orphan > 0,
        other=or_(group.c.other > 0, group.c.payments > 1),
        unsound=and_(group.c.payments > 0, unsound),
    )
    return found.add_columns(case((wanted != there, 1), else_=0).label("missing"))


def _payments_and_moves() -> Subquery:
    cancelled, points = payments_.c.status == constants.CANCELLED, payments_.c.method == constants.POINTS
    other = or_(
        payments_.c.amount != orders_.c.total,
        payments_.c.id != orders_.c.payment_id,
        payments_.c.user_id != orders_.c.user_id,
        payments_.c.status != _EXPECTED,
    )
    # 1 and 2 by points, the same without an amount, 4 in another way
    state = case((not_(points), 4), (payments_.c.amount == 0, 3), (cancelled, 2), else_=1)
    paid = select(
        payments_.c.order_id.label("id"),
        payments_.c.user_id,
        payments_.c.amount,
        state.label("state"),
        case((other, 1), else_=0).label("other"),
        case((orders_.c.id.is_(None), 1), else_=0).label("orphan"),
        one("payments"),
    ).join_from(payments_, orders_, orders_.c.id == payments_.c.order_id, isouter=True)
    moves = select(
        ledger.c.ref.label("id"),
        ledger.c.row_id.label("user_id"),
        ledger.c.delta,
        case({constants.USE: _USE, constants.REFUND: _REFUND}, value=ledger.c.note, else_=0).label("notes"),
        one("entries"),
    ).where(ledger.c.kind == "points", ledger.c.note.in_([constants.USE, constants.REFUND]))
    both = together(paid, moves)
    names = ("amount", "state", "other", "orphan", "payments", "delta", "notes", "entries")
    sums = (func.sum(both.c[name]).label(name) for name in names)
    return summed(select(both.c.id, both.c.user_id, *sums).group_by(both.c.id, both.c.user_id)).subquery()


# Effects that a request shares with an order or a payment are looked at here, and left out of the requests' screen.
_BY_OTHERS = (records.request_missing, records.refused_but_done)

BY_ROW = Screen(
    by_row,
    {
        "alone": (
            counters.row_missing,
            counters.ledger_sum,
            counters.version_gap,
            orders.order_status,
            orders.illegal_step,
        ),
        "low": (counters.below_zero,),
        "out": (counters.oversold, counters.overspent),
        "moved": (counters.ledger_sum,),
        "gap": (counters.version_gap, counters.repeated_version),
        "twice": (counters.repeated_version,),
        "state": (orders.order_status, orders.illegal_step),
    },
)
BY_VERSION = Screen(by_version, {"broken": (counters.repeated_version, counters.ledger_chain, counters.version_gap)})
BY_LINE = Screen(
    by_line,
    {
        "stray": (orders.stray_movement, *_BY_OTHERS),
        "unsound": (orders.paid_deducted_once, orders.reserved_held_once, orders.restored_once),
    },
)
BY_PAYMENT = Screen(
    by_payment,
    {
        "stray": (payments.stray_points, *_BY_OTHERS),
        "orphan": (payments.payment_without_order, *_BY_OTHERS),
        "other": (payments.payment_of_order,),
        "missing": (payments.payment_of_order,),
        "unsound": (payments.points_of_payment,),
    },
)
