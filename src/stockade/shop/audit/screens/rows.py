"""Screens of single rows: each row beside its ledger entries, and each entry beside the one before it."""

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    String,
    and_,
    case,
    false,
    func,
    literal_column,
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
from stockade.shop.model.constants import CANCELLED, EXPIRED, PAID, RESERVED
from stockade.shop.model.resources import ORDER, PAYMENT, PRODUCT
from stockade.shop.model.tables import orders as orders_
from stockade.store.schema.tables import ledger

_COUNTED = tuple(resource.kind for resource in COUNTED)
_FEW_STEPS = (ORDER.kind, PAYMENT.kind)
_ENTRIES, _ROW = 1, 10  # summed up in `there`: the ledger has entries of the row, and the row exists

# What happened to an order is the sum of three codes, each with a decimal place of its own: in which state the order
# was made, through which states its ledger entries led it, and in which state its row is.
_MADE = {RESERVED: 0, PAID: 1}
_IS = {RESERVED: 0, PAID: 10, CANCELLED: 20, EXPIRED: 30}
_BECAME: dict[tuple[str, ...], int] = {(): 0, (PAID,): 100, (CANCELLED,): 200, (EXPIRED,): 300, (PAID, CANCELLED): 400}
_ILLEGAL = 1000
_LEGAL_WAYS = tuple(
    _MADE[made] + _BECAME[became] + _IS[is_]
    for made, became, is_ in (
        (RESERVED, (), RESERVED),  # waits for its payment; rows of other kinds have the sum 0 as well
        (RESERVED, (PAID,), PAID),
        (RESERVED, (CANCELLED,), CANCELLED),
        (RESERVED, (EXPIRED,), EXPIRED),
        (RESERVED, (PAID, CANCELLED), CANCELLED),
        (PAID, (CANCELLED,), CANCELLED),
        # made PAID and never changed: `_rows` leaves such orders out
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
    paid, cancelled = (func.max(case((ledger.c.note == note, version), else_=0)) for note in (PAID, CANCELLED))
    way = case(
        (ledger.c.kind != ORDER.kind, 0),
        *((and_(count == 1, func.max(ledger.c.note) == note), _BECAME[(note,)]) for note in (PAID, CANCELLED, EXPIRED)),
        (and_(count == 2, paid > 0, cancelled > paid), _BECAME[PAID, CANCELLED]),
        else_=_ILLEGAL,
    )
    # `by_version` looks for repeated versions of the others. An order has at most two entries, a payment one.
    twice = and_(ledger.c.kind.in_(_FEW_STEPS), count > 1, way != _BECAME[PAID, CANCELLED])
    return select(
        ledger.c.kind,
        ledger.c.row_id.label("id"),
        literal_column(str(_ENTRIES)).label("there"),
        newest.label("version"),
        func.sum(ledger.c.delta).label("delta"),
        func.sum(ledger.c.held).label("held"),
        way.label("way"),
        func.max(one_if(impossible(ledger.c.amount_after, ledger.c.held_after))).label("low"),
        one_if(func.sum(ledger.c.delta) < 0).label("out"),
        one_if(or_(count != newest - (first - 1), func.min(version) < first)).label("gap"),
        one_if(twice).label("twice"),
    ).group_by(ledger.c.kind, ledger.c.row_id)


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
    """Each entry of stock and points beside the one with the version before it, and repeated versions of products."""
    repeated = repeated_versions(PRODUCT.kind)
    if dialect in ("mariadb", "mysql"):  # a window over the whole ledger takes them minutes
        suspects = union_all(out_of_step(COUNTED), repeated).subquery()
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
    wrong = select(zero.label("step"), zero.label("amount"), zero.label("held")).select_from(repeated.subquery())
    found = union_all(steps, wrong).subquery()
    return flags(found, broken=or_(found.c.step != 1, found.c.amount != 0, found.c.held != 0))


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
        "twice": (counters.repeated_version,),
        "way": _ORDER_STATES,
    },
)
BY_VERSION = Screen(
    "by_version", by_version, {"broken": (counters.repeated_version, counters.ledger_chain, counters.version_gap)}
)
