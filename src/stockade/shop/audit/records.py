"""Rules about the store's own records: every effect has its request, every fact its event, and nothing has more."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import (
    CompoundSelect,
    Connection,
    Subquery,
    and_,
    case,
    func,
    literal,
    not_,
    or_,
    select,
    union,
    union_all,
)

from stockade.shop import words
from stockade.shop.audit.finding import Scope, Violation
from stockade.shop.queries.recorded import refused, refused_order
from stockade.store.outbox import PURGED
from stockade.store.tables import ledger, marks, orders, outbox, payments, requests

_NEVER = 2**63 - 1

# Entries of the ledger that are told to the outside: kind and note of the entry, kind of the event.
TOLD = (
    ("order", words.PAID, words.ORDER_PAID),
    ("order", words.CANCELLED, words.ORDER_CANCELLED),
    ("order", words.EXPIRED, words.ORDER_EXPIRED),
    ("points", words.CHARGE, words.POINTS_CHARGED),
    ("stock", words.ADJUST, words.STOCK_ADJUSTED),
)


def request_missing(conn: Connection, scope: Scope) -> Iterator[Violation]:
    """Every entry, order and payment was made by a request that is recorded: such requests are never purged."""
    effects = union(
        select(ledger.c.request_id.label("id"), ledger.c.at_ms.label("at_ms")),
        select(orders.c.id, orders.c.created_ms),
        select(payments.c.id, payments.c.created_ms),
    ).subquery()
    statement = (
        select(effects.c.id, effects.c.at_ms)
        .join_from(effects, requests, requests.c.id == effects.c.id, isouter=True)
        .where(requests.c.id.is_(None))
    )
    for id_, at_ms in scope.rows(conn, statement):
        yield Violation("request-missing", f"request:{id_}", "a recorded request", f"only its effect, at {at_ms} ms")


def refused_but_done(conn: Connection, scope: Scope) -> Iterator[Violation]:
    """A refused request made no entry, order, payment or event, but the one that tells of the refusal."""
    effects = union(
        select(ledger.c.request_id.label("id"), literal("a ledger entry").label("what")),
        select(orders.c.id, literal("an order")),
        select(payments.c.id, literal("a payment")),
        select(outbox.c.request_id, literal("an event")).where(outbox.c.kind != words.ORDER_REJECTED),
    ).subquery()
    statement = (
        select(requests.c.id, effects.c.what)
        .join_from(effects, requests, requests.c.id == effects.c.id)
        .where(refused())
    )
    for id_, what in scope.rows(conn, statement):
        yield Violation("refused-but-done", f"request:{id_}", "nothing", what)


def event_once(conn: Connection, scope: Scope) -> Iterator[Violation]:
    """Every order made or refused and every step, charge and adjustment has its event in the outbox exactly once.

    Events that were confirmed and purged leave a mark of the time up to which they may be gone.
    """
    facts = _facts().subquery()
    events = (
        select(outbox.c.request_id, outbox.c.kind, func.count().label("count"))
        .group_by(outbox.c.request_id, outbox.c.kind)
        .subquery()
    )
    count = func.coalesce(events.c.count, 0)
    purged = select(marks.c.at_ms).where(marks.c.name == PURGED).scalar_subquery()
    expected = facts.c.at_ms >= func.coalesce(purged, -_NEVER)
    statement = (
        select(facts.c.request_id, facts.c.event, count)
        .join_from(
            facts,
            events,
            and_(events.c.request_id == facts.c.request_id, events.c.kind == facts.c.event),
            isouter=True,
        )
        .where(or_(count > 1, and_(count == 0, expected)))
    )
    for id_, kind, times in scope.rows(conn, statement):
        yield Violation("event-once", f"request:{id_} {kind}", 1, times)


def event_without_cause(conn: Connection, scope: Scope) -> Iterator[Violation]:
    """No event tells of what did not happen."""
    facts = _facts().subquery()
    statement = (
        select(outbox.c.request_id, outbox.c.kind)
        .join_from(
            outbox,
            facts,
            and_(facts.c.request_id == outbox.c.request_id, facts.c.event == outbox.c.kind),
            isouter=True,
        )
        .where(outbox.c.kind.in_([words.ORDER_PLACED, *(event for _, _, event in TOLD)]), facts.c.event.is_(None))
    )
    # the request row of a refusal may be forgotten by now; one that is there must be a refusal
    not_refused = (
        select(outbox.c.request_id, outbox.c.kind)
        .join_from(outbox, requests, requests.c.id == outbox.c.request_id)
        .where(outbox.c.kind == words.ORDER_REJECTED, not_(refused_order()))
    )
    for id_, kind in [*scope.rows(conn, statement), *scope.rows(conn, not_refused)]:
        yield Violation("event-without-cause", f"request:{id_} {kind}", "what it tells of", "nothing of it")


def stock_told(conn: Connection, scope: Scope) -> Iterator[Violation]:
    """The newest change of every SKU has its event, none has two, and no such event tells of what did not happen.

    A batch that changes a SKU several times tells of the last change only.
    """
    told = _stock_events()
    of_told = and_(ledger.c.kind == "stock", told.c.row_id == ledger.c.row_id, told.c.request_id == ledger.c.request_id)
    last_told = (
        select(ledger.c.row_id, func.max(ledger.c.version).label("version"))
        .join_from(told, ledger, of_told)
        .group_by(ledger.c.row_id)
        .subquery()
    )
    last = _last_changes()
    untold = (
        select(last.c.row_id, last.c.version)
        .join_from(last, last_told, last_told.c.row_id == last.c.row_id, isouter=True)
        .where(last.c.version > func.coalesce(last_told.c.version, 0), last.c.version > last.c.excused)
    )
    for sku_id, version in scope.rows(conn, untold):
        yield Violation("stock-told", f"stock:{sku_id} version {version}", 1, 0)
    wrong = (
        select(told.c.key, told.c.request_id, ledger.c.version, told.c.count)
        .join_from(told, ledger, of_told, isouter=True)
        .where(or_(ledger.c.version.is_(None), told.c.count > 1))
    )
    for key, id_, version, times in scope.rows(conn, wrong):
        if version is None:
            yield Violation("stock-told", f"{key} request:{id_}", "a change that it tells of", "nothing of it")
        else:
            yield Violation("stock-told", f"{key} version {version}", 1, times)


def _stock_events() -> Subquery:
    """Events of SKUs, each with the row that it names: so the ledger is looked up by its key, event by event."""
    row_id = func.substr(outbox.c.key, len("stock:") + 1).label("row_id")
    return (
        select(outbox.c.key, outbox.c.request_id, row_id, func.count().label("count"))
        .where(outbox.c.kind == words.STOCK_CHANGED)
        .group_by(outbox.c.key, outbox.c.request_id)
        .subquery()
    )


def _last_changes() -> Subquery:
    """The newest version of each SKU, and the newest whose event may have been purged."""
    purged = select(marks.c.at_ms).where(marks.c.name == PURGED).scalar_subquery()
    excused = case((ledger.c.at_ms < func.coalesce(purged, -_NEVER), ledger.c.version), else_=0)
    return (
        select(ledger.c.row_id, func.max(ledger.c.version).label("version"), func.max(excused).label("excused"))
        .where(ledger.c.kind == "stock")
        .group_by(ledger.c.row_id)
        .subquery()
    )


def _facts() -> CompoundSelect[Any]:
    """Request ids with the kind of event each must have told, and when."""
    told = [
        select(ledger.c.request_id, literal(event), ledger.c.at_ms).where(ledger.c.kind == kind, ledger.c.note == note)
        for kind, note, event in TOLD
    ]
    placed = select(
        orders.c.id.label("request_id"), literal(words.ORDER_PLACED).label("event"), orders.c.created_ms.label("at_ms")
    )
    rejected = select(requests.c.id, literal(words.ORDER_REJECTED), requests.c.created_ms).where(refused_order())
    return union_all(placed, rejected, *told)
