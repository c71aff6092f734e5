"""Screens of single rows: each row beside its ledger entries, and each entry beside the one before it."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    String,
    and_,
    case,
    cast,
    false,
    func,
    literal_column,
    not_,
    null,
    or_,
    select,
    union_all,
)

from stockade.service.audit.counters import impossible, out_of_step, repeated_versions
from stockade.service.audit.stack import many_groups, one_if, stack
from stockade.shop.audit import counters, orders
from stockade.shop.audit.counters import COUNTED, FOLLOWED
from stockade.shop.audit.orders import FIRST
from stockade.shop.audit.screen import Screen, flags
from stockade.shop.model.constants import CANCEL_LINES, CANCELLED, EXPIRED, PAID, PAYING, RESERVED
from stockade.shop.model.resources import ATTEMPT, CHARGE, ORDER, PAYMENT, PRODUCT, REFUND
from stockade.shop.model.tables import orders as orders_
from stockade.store.schema.resource import Resource
from stockade.store.schema.tables import ledger

_COUNTED = tuple(resource.kind for resource in COUNTED)
_FEW_STEPS = (ORDER.kind, PAYMENT.kind, CHARGE.kind, ATTEMPT.kind, REFUND.kind)
_OFTEN_CHANGED = (ATTEMPT, REFUND, ORDER)  # a reconciler may try for days; lines may be cancelled unit by unit
_MOST_STEPS = 50  # of a row whose versions stand in the bits of one number; other orders have 43 at most
_ENTRIES, _ROW = 1, 10  # summed up in `there`: the ledger has entries of the row, and the row exists

# What happened to an order is the sum of three codes, each with a decimal place of its own: in which state the order
# was made, through which states its ledger entries led it, and in which state its row is. Before its last entries an
# order may have changed between PAYING and RESERVED several times.
_MADE = {RESERVED: 0, PAID: 1}
_IS = {RESERVED: 0, PAID: 10, CANCELLED: 20, EXPIRED: 30, PAYING: 40}
_BECAME: dict[tuple[str, ...], int] = {(): 0, (PAID,): 100, (CANCELLED,): 200, (EXPIRED,): 300, (PAID, CANCELLED): 400}
_AFTER_PAYING, _AFTER_DECLINE = 500, 1000  # the last of these changes led to PAYING, or back to RESERVED
_ILLEGAL = 10_000
_PLACE = 1000  # above every version that stands in the bits of a number
_LEGAL_WAYS = tuple(
    _MADE[made] + _BECAME[became] + _IS[is_]
    for made, became, is_ in (
        (RESERVED, (), RESERVED),  # waits for its payment; rows of other kinds have the sum 0 as well
        (RESERVED, (PAID,), PAID),
        (RESERVED, (CANCELLED,), CANCELLED),
        (RESERVED, (EXPIRED,), EXPIRED),
        (RESERVED, (PAID, CANCELLED), CANCELLED),
        (PAID, (CANCELLED,), CANCELLED),
        (PAID, (), PAID),  # and lines were cancelled; `_rows` leaves out those that never changed
    )
) + tuple(
    turns + _BECAME[became] + _IS[is_]
    for turns, became, is_ in (
        (_AFTER_PAYING, (), PAYING),
        (_AFTER_PAYING, (PAID,), PAID),
        (_AFTER_PAYING, (CANCELLED,), CANCELLED),
        (_AFTER_PAYING, (PAID, CANCELLED), CANCELLED),
        (_AFTER_DECLINE, (), RESERVED),
        (_AFTER_DECLINE, (PAID,), PAID),
        (_AFTER_DECLINE, (CANCELLED,), CANCELLED),
        (_AFTER_DECLINE, (EXPIRED,), EXPIRED),
        (_AFTER_DECLINE, (PAID, CANCELLED), CANCELLED),
    )
)


def by_row(_dialect: str) -> Select[Any]:
    """Each row beside the sums of its entries, without the rows that nothing has changed since their INSERT."""
    both = stack(_entries_of_rows(), *(_rows(resource, first) for resource, first in FOLLOWED))
    names = ("there", "version", "delta", "held", "way", "low", "out", "gap", "twice")
    sums = (func.sum(both.c[name]).label(name) for name in names)
    group = many_groups(select(both.c.kind, both.c.id, *sums).group_by(both.c.kind, both.c.id)).subquery()
    return flags(
        group,
        alone=group.c.there != _ENTRIES + _ROW,
        low=group.c.low > 0,
        out=group.c.out > 0,
        moved=or_(group.c.delta != 0, group.c.held != 0),
        gap=or_(group.c.version != 0, group.c.gap > 0),
        twice=group.c.twice > 0,
        way=group.c.way.not_in(_LEGAL_WAYS),
    )


def _entries_of_rows() -> Select[Any]:
    """The sums of the entries of each row, read in the order of the ledger's key."""
    count, version, newest = func.count(), ledger.c.version, func.max(ledger.c.version)
    first = case((ledger.c.kind.in_(_COUNTED), 1), else_=2)  # version of the first entry, see `FOLLOWED`
    # `by_version` looks for repeated versions of the others.
    twice = and_(ledger.c.kind.in_(_FEW_STEPS), count > 1, newest <= _MOST_STEPS, not_(_each_version_once()))
    return select(
        ledger.c.kind,
        ledger.c.row_id.label("id"),
        literal_column(str(_ENTRIES)).label("there"),
        newest.label("version"),
        func.sum(ledger.c.delta).label("delta"),
        func.sum(ledger.c.held).label("held"),
        case((ledger.c.kind == ORDER.kind, _way()), else_=0).label("way"),
        func.max(one_if(impossible(ledger.c.amount_after, ledger.c.held_after))).label("low"),
        one_if(func.sum(ledger.c.delta) < 0).label("out"),
        one_if(or_(count != newest - (first - 1), func.min(version) < first)).label("gap"),
        one_if(twice).label("twice"),
    ).group_by(ledger.c.kind, ledger.c.row_id)


def _each_version_once() -> ColumnElement[bool]:
    """Whether the entries of a row have the versions 2, 3, 4 … once each, up to `_MOST_STEPS`.

    Each version is a bit of a sum. As many powers of two as a number has bits make that number in one way only.
    """
    version, newest = ledger.c.version, func.max(ledger.c.version)
    bits = func.sum(case((version.between(2, _MOST_STEPS), _bit(version)), else_=0))
    expected = case((newest <= _MOST_STEPS, _bit(newest + 1) - 4), else_=-1)
    return and_(func.count() == newest - 1, bits == expected)


def _bit(number: ColumnElement[int]) -> ColumnElement[int]:
    return cast(1, BigInteger).bitwise_lshift(cast(number, Integer))


def _way() -> ColumnElement[int]:
    """Through which states the entries of an order led it, if each version is there once.

    Changes to PAYING have even versions and those back to RESERVED odd ones; what else there is comes behind them. An
    order of which lines were cancelled before it was PAYING is left to the rules.
    """
    version, note, newest = ledger.c.version, ledger.c.note, func.max(ledger.c.version)
    turn = case((note == PAYING, 1 - version % 2), (note == RESERVED, version % 2), else_=0)
    turns, lines = func.sum(turn), func.sum(one_if(note == CANCEL_LINES))
    in_front = or_(lines == 0, 2 * func.sum(turn * version) == turns * (turns + 3))  # 2, 3, 4, … add up to no less
    last = func.sum(
        case({PAID: version, CANCELLED: version * _PLACE, EXPIRED: version * _PLACE**2}, value=note, else_=0)
    )
    before = case((turns == 0, 0), (turns % 2 == 1, _AFTER_PAYING), else_=_AFTER_DECLINE)
    others = func.count() - turns - lines
    paid = last - newest * _PLACE  # its version, if the order was cancelled last
    became = case(
        (others == 0, _BECAME[()]),
        (and_(others == 1, or_(last == newest, and_(lines > 0, last.between(1, newest)))), _BECAME[(PAID,)]),
        (and_(others == 1, last == newest * _PLACE), _BECAME[(CANCELLED,)]),
        (and_(others == 1, last == newest * _PLACE**2), _BECAME[(EXPIRED,)]),
        (
            and_(others == 2, or_(paid == newest - 1, and_(lines > 0, paid.between(1, newest - 1)))),
            _BECAME[PAID, CANCELLED],
        ),
        else_=_ILLEGAL,
    )
    return case((and_(_each_version_once(), in_front), before + became), else_=_ILLEGAL)


def _rows(resource: Any, first: int) -> Select[Any]:
    """The rows with the negative of what their entries must add up to: the sums of a sound row are 0."""
    table = resource.table
    none: ColumnElement[Any] = literal_column("0")
    counted = resource.kind in _COUNTED
    amount, held = (table.c[name] for name in resource.counters) if counted else (none, none)
    changed = [table.c.version != first - 1]
    way: ColumnElement[Any] = none
    if counted:
        changed += [amount != 0, held != 0]
    if resource is ORDER:
        changed.append(orders_.c.status != FIRST)
        way = case(_IS, value=orders_.c.status, else_=_ILLEGAL)
        way = way + case((FIRST == PAID, _MADE[PAID]), else_=_MADE[RESERVED])
    low = impossible(amount, held) if counted else false()
    return select(
        literal_column(f"'{resource.kind}'", String).label("kind"),
        table.c.id,
        literal_column(str(_ROW)).label("there"),
        (-table.c.version).label("version"),
        (-amount).label("delta"),
        (-held).label("held"),
        way.label("way"),
        one_if(low).label("low"),
    ).where(or_(*changed))


def by_version(dialect: str) -> Select[Any]:
    """Each entry of stock and points beside the one with the version before it, and repeated versions of what `by_row`
    leaves out: of products, and of orders, attempts and refunds that were changed often."""
    repeated = [
        repeated_versions(PRODUCT.kind),
        *(repeated_versions(each.kind, of=_often(each)) for each in _OFTEN_CHANGED),
    ]
    if dialect in ("mariadb", "mysql"):  # a window over the whole ledger takes them minutes
        suspects = union_all(out_of_step(COUNTED), *repeated).subquery()
        return flags(suspects, broken=suspects.c.row_id.is_not(null()))
    row = [ledger.c.kind, ledger.c.row_id]
    version, amount, held = (
        func.coalesce(func.lag(column).over(partition_by=row, order_by=ledger.c.version), 0)
        for column in (ledger.c.version, ledger.c.amount_after, ledger.c.held_after)
    )
    steps = select(
        (ledger.c.version - version).label("step"),
        (amount + ledger.c.delta - ledger.c.amount_after).label("amount"),
        (held + ledger.c.held - ledger.c.held_after).label("held"),
    ).where(ledger.c.kind.in_(_COUNTED))
    zero: ColumnElement[Any] = literal_column("0")
    nothing = [zero.label(name) for name in ("step", "amount", "held")]
    found = union_all(steps, *(select(*nothing).select_from(each.subquery()) for each in repeated)).subquery()
    return flags(found, broken=or_(found.c.step != 1, found.c.amount != 0, found.c.held != 0))


def _often(resource: Resource) -> Select[Any]:
    """The rows whose versions do not stand in the bits of one number."""
    return select(resource.table.c.id).where(resource.table.c.version > _MOST_STEPS)


_ORDER_STATES = (orders.order_status, orders.illegal_step)

BY_ROW = Screen(
    "by_row",
    by_row,
    {
        "alone": (counters.row_missing, counters.ledger_sum, counters.version_gap, *_ORDER_STATES),
        "low": (counters.below_zero,),
        "out": (counters.oversold, counters.overspent),
        "moved": (counters.ledger_sum,),
        "gap": (counters.version_gap, counters.repeated_version),
        "twice": (counters.repeated_version, counters.version_gap),
        "way": _ORDER_STATES,
    },
)
BY_VERSION = Screen(
    "by_version", by_version, {"broken": (counters.repeated_version, counters.ledger_chain, counters.version_gap)}
)
