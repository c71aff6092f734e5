"""Screens of what each request did: it is recorded, it did nothing if it was refused, and its event tells of it."""

from typing import Any

from sqlalchemy import Integer, Select, and_, case, func, literal_column, not_, or_, select

from stockade.shop.audit import records
from stockade.shop.audit.orders import MOVES
from stockade.shop.audit.screen import Screen, flags
from stockade.shop.audit.together import one, summed, together
from stockade.shop.model import constants
from stockade.shop.model.tables import orders, payments
from stockade.shop.queries.recorded import refused, refused_order
from stockade.store.schema.tables import ledger, outbox, requests

# Each kind of event by a number: the sum is one of them only where there is one event, as two come to 2,000 and more.
_ALONE = 1000
_NUMBERS = {
    constants.ORDER_PLACED: _ALONE + 1,
    constants.ORDER_REJECTED: _ALONE + 2,
    **{event: _ALONE + 3 + at for at, (_, _, event) in enumerate(records.TOLD)},
}
_UNKNOWN = 2 * _ALONE - 1
_REJECTED = _NUMBERS[constants.ORDER_REJECTED]
_DONE, _REFUSED = 1, 10  # in `request`


def by_request(_dialect: str) -> Select[Any]:
    """Each request beside its effects, what was to be told of it, and its events.

    An effect on an order's stock or on a payment's points names the order as its request: that there is such an order
    is for the screens of lines and payments, and the order itself is here.
    """
    both = together(*_effects(), _recorded(), _events())
    sums = [func.sum(both.c[name]).label(name) for name in ("request", "effects", "fact", "event")]
    newest = func.max(both.c.at_ms).label("at_ms")
    group = summed(select(both.c.request_id, *sums, newest).group_by(both.c.request_id)).subquery()
    purged = and_(group.c.event == 0, group.c.at_ms < records.purged_ms())
    forgotten = and_(group.c.fact == 0, group.c.event == _REJECTED, group.c.request == 0)
    told = and_(group.c.fact < 2 * _ALONE, or_(group.c.fact == group.c.event, purged, forgotten))
    return flags(
        group,
        unknown=and_(group.c.request == 0, group.c.effects > 0),
        refused=and_(group.c.request == _REFUSED, or_(group.c.effects > 0, group.c.event.not_in((0, _REJECTED)))),
        event=not_(told),
    )


def _effects() -> list[Select[Any]]:
    of_order = or_(
        and_(ledger.c.kind == "stock", ledger.c.note.in_(MOVES)),
        and_(ledger.c.kind == "points", ledger.c.note.in_([constants.USE, constants.REFUND])),
    )
    told = [(and_(ledger.c.kind == kind, ledger.c.note == note), _NUMBERS[event]) for kind, note, event in records.TOLD]
    fact = case(*told, else_=0)
    entries = select(
        ledger.c.request_id,
        one("effects"),
        fact.label("fact"),
        case((fact > 0, ledger.c.at_ms), else_=0).label("at_ms"),
    ).where(not_(and_(ledger.c.request_id == ledger.c.ref, of_order)))
    placed = literal_column(str(_NUMBERS[constants.ORDER_PLACED]), Integer).label("fact")
    return [
        entries,
        select(orders.c.id.label("request_id"), one("effects"), placed, orders.c.created_ms.label("at_ms")),
        select(payments.c.id.label("request_id"), one("effects")).where(payments.c.id != payments.c.order_id),
    ]


def _recorded() -> Select[Any]:
    rejected = refused_order()
    return select(
        requests.c.id.label("request_id"),
        case((refused(), _REFUSED), else_=_DONE).label("request"),
        case((rejected, _REJECTED), else_=0).label("fact"),
        case((rejected, requests.c.created_ms), else_=0).label("at_ms"),
    )


def _events() -> Select[Any]:
    """Without those of stock: another screen looks at these."""
    number = case(_NUMBERS, value=outbox.c.kind, else_=_UNKNOWN).label("event")
    return select(outbox.c.request_id, number).where(outbox.c.kind != constants.STOCK_CHANGED)


def by_stock_event(_dialect: str) -> Select[Any]:
    """Each SKU with its newest change, the newest that an event tells of, and events of no change or of one twice."""
    change = records.changes_and_events()
    wrong = records.told_wrongly(change)
    newest: list[Any] = [each.label(name) for name, each in records.newest_of(change).items()]
    any_wrong = func.max(case((wrong, 1), else_=0)).label("wrong")
    statement: Select[Any] = select(*newest, any_wrong).group_by(change.c.key)
    sku = summed(statement).subquery()
    untold = and_(sku.c.newest > sku.c.told, sku.c.newest > sku.c.excused)
    return flags(sku, wrong=or_(untold, sku.c.wrong > 0))


BY_REQUEST = Screen(
    by_request,
    {
        "unknown": (records.request_missing,),
        "refused": (records.refused_but_done,),
        "event": (records.event_once, records.event_without_cause),
    },
)
# an event of stock that a refused request has made tells of no change
BY_STOCK_EVENT = Screen(by_stock_event, {"wrong": (records.stock_told, records.refused_but_done)})
