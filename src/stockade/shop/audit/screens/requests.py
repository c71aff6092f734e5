"""Screens of requests: each is recorded, did nothing if it was rejected, and has its events."""

from typing import Any

from sqlalchemy import Integer, Select, and_, case, func, literal_column, not_, or_, select

from stockade.service.audit.stack import many_groups, one, one_if, stack
from stockade.service.recorded import rejected
from stockade.shop.audit import records
from stockade.shop.audit.orders import MOVES
from stockade.shop.audit.screen import Screen, flags
from stockade.shop.model import constants
from stockade.shop.model.tables import orders, payments, point_charges
from stockade.shop.queries.recorded import rejected_order
from stockade.store.schema.tables import ledger, outbox, requests

# Each kind of event has a number of 1,001 or more, so that a sum below 2,000 is the number of a single event.
_ALONE = 1000
_NUMBERS = {
    constants.ORDER_PLACED: _ALONE + 1,
    constants.ORDER_REJECTED: _ALONE + 2,
    **{event: _ALONE + 3 + at for at, (_, _, event) in enumerate(records.EVENTS_OF_ENTRIES)},
}
_UNKNOWN = 2 * _ALONE - 1
_REJECTED = _NUMBERS[constants.ORDER_REJECTED]
_DONE, _IS_REJECTED = 1, 10  # values of `request`


def by_request(_dialect: str) -> Select[Any]:
    """Each request beside its effects, the event that it needs (`cause`), and its events.

    Left out: entries of stock and points that name their order as their request. The screens of lines and payments show
    that the order exists, and the order itself is an effect here.
    """
    both = stack(*_effects(), _recorded(), _events())
    sums = [func.sum(both.c[name]).label(name) for name in ("request", "effects", "cause", "event")]
    newest = func.max(both.c.at_ms).label("at_ms")
    group = many_groups(select(both.c.request_id, *sums, newest).group_by(both.c.request_id)).subquery()
    event_purged = and_(group.c.event == 0, group.c.at_ms < records.purged_ms())
    request_purged = and_(group.c.cause == 0, group.c.event == _REJECTED, group.c.request == 0)
    sound = and_(group.c.cause < 2 * _ALONE, or_(group.c.cause == group.c.event, event_purged, request_purged))
    return flags(
        group,
        unknown=and_(group.c.request == 0, group.c.effects > 0),
        refused=and_(group.c.request == _IS_REJECTED, or_(group.c.effects > 0, group.c.event.not_in((0, _REJECTED)))),
        event=not_(sound),
    )


def _effects() -> list[Select[Any]]:
    of_order = or_(
        and_(ledger.c.kind == "stock", ledger.c.note.in_(MOVES)),
        and_(ledger.c.kind == "points", ledger.c.note.in_([constants.USE, constants.REFUND])),
    )
    causes = [
        (and_(ledger.c.kind == kind, ledger.c.note == note), _NUMBERS[event])
        for kind, note, event in records.EVENTS_OF_ENTRIES
    ]
    cause = case(*causes, else_=0)
    entries = select(
        ledger.c.request_id,
        one("effects"),
        cause.label("cause"),
        case((cause > 0, ledger.c.at_ms), else_=0).label("at_ms"),
    ).where(not_(and_(ledger.c.request_id == ledger.c.ref, of_order)))
    placed = literal_column(str(_NUMBERS[constants.ORDER_PLACED]), Integer).label("cause")
    return [
        entries,
        select(orders.c.id.label("request_id"), one("effects"), placed, orders.c.created_ms.label("at_ms")),
        select(payments.c.id.label("request_id"), one("effects")).where(payments.c.id != payments.c.order_id),
        select(point_charges.c.id.label("request_id"), one("effects")),
    ]


def _recorded() -> Select[Any]:
    order = rejected_order()
    return select(
        requests.c.id.label("request_id"),
        case((rejected(), _IS_REJECTED), else_=_DONE).label("request"),
        case((order, _REJECTED), else_=0).label("cause"),
        case((order, requests.c.created_ms), else_=0).label("at_ms"),
    )


def _events() -> Select[Any]:
    """The events, without those of stock: see `by_stock_event`."""
    number = case(_NUMBERS, value=outbox.c.kind, else_=_UNKNOWN).label("event")
    return select(outbox.c.request_id, number).where(outbox.c.kind != constants.STOCK_CHANGED)


def by_stock_event(_dialect: str) -> Select[Any]:
    """Each SKU with its newest change, its newest change with an event, and wrong events."""
    change = records.changes_and_events()
    wrong = records.has_wrong_events(change)
    newest: list[Any] = [each.label(name) for name, each in records.newest_of(change).items()]
    any_wrong = func.max(one_if(wrong)).label("wrong")
    statement: Select[Any] = select(*newest, any_wrong).group_by(change.c.key)
    sku = many_groups(statement).subquery()
    missing = and_(sku.c.newest > sku.c.published, sku.c.newest > sku.c.purged)
    return flags(sku, wrong=or_(missing, sku.c.wrong > 0))


BY_REQUEST = Screen(
    "by_request",
    by_request,
    {
        "unknown": (records.request_missing,),
        "refused": (records.refused_but_done,),
        "event": (records.event_once, records.event_without_cause),
    },
)
# an event of stock that a rejected request made has no change
BY_STOCK_EVENT = Screen("by_stock_event", by_stock_event, {"wrong": (records.stock_events, records.refused_but_done)})
