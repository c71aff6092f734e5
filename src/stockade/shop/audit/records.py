"""Rules about the store's own tables: each effect has its request, each change its event, and there are no others."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Select,
    Subquery,
    and_,
    case,
    false,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
    true,
    union_all,
)

from stockade.service.audit.rule_types import Finding, Scope, rule
from stockade.service.audit.stack import many_groups, one, stack
from stockade.service.recorded import rejected
from stockade.shop.model import constants
from stockade.shop.model.tables import orders, payments, point_charges
from stockade.shop.queries.recorded import rejected_order
from stockade.store.outbox import PURGED
from stockade.store.schema.tables import ledger, outbox, requests, watermarks

_NEVER = 2**63 - 1

# Ledger entries that need an event: kind and note of the entry, kind of the event.
EVENTS_OF_ENTRIES = (
    ("order", constants.PAID, constants.ORDER_PAID),
    ("order", constants.CANCELLED, constants.ORDER_CANCELLED),
    ("order", constants.CANCEL_LINES, constants.ORDER_LINES_CANCELLED),
    ("order", constants.EXPIRED, constants.ORDER_EXPIRED),
    ("points", constants.CHARGE, constants.POINTS_CHARGED),
    ("stock", constants.ADJUST, constants.STOCK_ADJUSTED),
    ("attempt", constants.DECLINED, constants.PAYMENT_DECLINED),
    ("attempt", constants.UNFULFILLABLE, constants.PAYMENT_UNFULFILLABLE),
    ("refund", constants.REFUNDED, constants.PAYMENT_REFUNDED),
    ("refund", constants.REFUSED, constants.PAYMENT_REFUND_REFUSED),
)


@rule("request-missing")
def request_missing(conn: Connection, scope: Scope) -> Iterator[Finding]:
    """Every entry, order, payment and charge was made by a request that is recorded: such requests are never purged.

    An attempt to pay has an entry of what it changed, its claim.
    """
    effects = (
        select(ledger.c.request_id.label("id"), ledger.c.at_ms),
        select(orders.c.id, orders.c.created_ms.label("at_ms")),
        select(payments.c.id, payments.c.created_ms.label("at_ms")),
        select(point_charges.c.id, point_charges.c.created_ms.label("at_ms")),
    )
    both = stack(*effects, select(requests.c.id, one("requests")))
    statement = select(both.c.id, func.max(both.c.at_ms)).group_by(both.c.id).having(func.sum(both.c.requests) == 0)
    for id_, at_ms in scope.rows(conn, statement):
        yield f"request:{id_}", "a recorded request", f"only its effect, at {at_ms} ms"


@rule("refused-but-done")
def refused_but_done(conn: Connection, scope: Scope) -> Iterator[Finding]:
    """A refused request made no entry, order, payment, charge or event, except the event of its refusal."""
    not_rejected = outbox.c.kind != constants.ORDER_REJECTED
    effects = union_all(
        *(
            _of_rejected(id_, what).where(which)
            for id_, what, which in (
                (ledger.c.request_id, "a ledger entry", true()),
                (orders.c.id, "an order", true()),
                (payments.c.id, "a payment", true()),
                (point_charges.c.id, "a charge", true()),
                (outbox.c.request_id, "an event", not_rejected),
            )
        )
    ).subquery()
    for id_, what in scope.rows(conn, select(effects).distinct()):
        yield f"request:{id_}", "nothing", what


def _of_rejected(id_: Column[str], what: str) -> Select[Any]:
    """The effects of one table that name a rejected request.

    GROUP BY makes a small table with a key of the rejected requests. COALESCE keeps each database from turning the
    outer join into an inner join, which might begin with the requests and read the effects of each.
    """
    ids = select(requests.c.id).where(rejected()).group_by(requests.c.id).subquery()
    exists = func.coalesce(ids.c.id, "") != ""
    named: list[ColumnElement[Any]] = [id_.label("id"), literal(what).label("what")]
    effects = select(*named)
    return effects.join_from(id_.table, ids, ids.c.id == id_, isouter=True).where(exists)


@rule("event-once")
def event_once(conn: Connection, scope: Scope) -> Iterator[Finding]:
    """Every order, refusal, step, charge and adjustment has exactly one event in the outbox.

    The purge of confirmed events writes the time up to which events may be missing.
    """
    both = _causes_and_events()
    count = func.sum(both.c.events)
    expected = func.max(both.c.at_ms) >= purged_ms()
    statement = (
        select(both.c.request_id, both.c.event, count)
        .group_by(both.c.request_id, both.c.event)
        .having(func.sum(both.c.causes) > 0, or_(count > 1, and_(count == 0, expected)))
    )
    for id_, kind, times in scope.rows(conn, statement):
        yield f"request:{id_} {kind}", 1, int(times)


@rule("event-without-cause")
def event_without_cause(conn: Connection, scope: Scope) -> Iterator[Finding]:
    """Every event has its cause."""
    both = _causes_and_events()
    statement = (
        select(both.c.request_id, both.c.event)
        .where(both.c.event.in_([constants.ORDER_PLACED, *(event for _, _, event in EVENTS_OF_ENTRIES)]))
        .group_by(both.c.request_id, both.c.event)
        .having(func.sum(both.c.causes) == 0)
    )
    # the request of a rejection may be purged; if its row exists, it must be a rejection
    not_rejected = (
        select(outbox.c.request_id, outbox.c.kind)
        .join_from(outbox, requests, requests.c.id == outbox.c.request_id, isouter=True)
        .where(outbox.c.kind == constants.ORDER_REJECTED, func.coalesce(not_(rejected_order()), false()))
    )
    for id_, kind in [*scope.rows(conn, statement), *scope.rows(conn, not_rejected)]:
        yield f"request:{id_} {kind}", "what it tells of", "nothing of it"


@rule("stock-told")
def stock_events(conn: Connection, scope: Scope) -> Iterator[Finding]:
    """The newest change of every SKU has an event, no change has two, and every event has its change.

    A batch that changes a SKU several times makes one event, of the last change.
    """
    change = changes_and_events()
    newest, published, purged = newest_of(change).values()
    missing = select(change.c.key, newest).group_by(change.c.key).having(newest > published, newest > purged)
    for key, version in scope.rows(conn, missing):
        yield f"{key} version {version}", 1, 0
    wrong = select(change.c.key, change.c.request_id, change.c.version, change.c.events).where(has_wrong_events(change))
    for key, id_, version, times in scope.rows(conn, wrong):
        if version == 0:
            yield f"{key} request:{id_}", "a change that it tells of", "nothing of it"
        else:
            yield f"{key} version {version}", 1, int(times)


def changes_and_events() -> Subquery:
    """The changes of SKUs with the number of their events, and events without a change (version 0)."""
    both = stack(
        select(
            (literal_column("'stock:'", outbox.c.key.type) + ledger.c.row_id).label("key"),
            ledger.c.request_id,
            ledger.c.version,
            ledger.c.at_ms,
        ).where(ledger.c.kind == "stock"),
        select(outbox.c.key, outbox.c.request_id, one("events")).where(outbox.c.kind == constants.STOCK_CHANGED),
    )
    sums = [func.max(both.c.version), func.max(both.c.at_ms), func.sum(both.c.events)]
    named = [each.label(name) for each, name in zip(sums, ("version", "at_ms", "events"), strict=True)]
    return many_groups(select(both.c.key, both.c.request_id, *named).group_by(both.c.key, both.c.request_id)).subquery()


def newest_of(change: Subquery) -> dict[str, ColumnElement[int]]:
    """The versions of a SKU's newest change, of the newest with an event, and of the newest with a purged event."""
    purged = change.c.at_ms < purged_ms()
    of = {"newest": change.c.version > 0, "published": change.c.events > 0, "purged": purged}
    return {name: func.max(case((which, change.c.version), else_=0)) for name, which in of.items()}


def has_wrong_events(change: Subquery) -> ColumnElement[bool]:
    """Whether there are events without a change, or two of one change."""
    return and_(change.c.events > 0, or_(change.c.version == 0, change.c.events > 1))


def purged_ms() -> ColumnElement[int]:
    """Events made before that may be purged. A subquery, because a purge may raise the time while the audit runs."""
    return func.coalesce(select(watermarks.c.at_ms).where(watermarks.c.name == PURGED).scalar_subquery(), -_NEVER)


def _causes_and_events() -> Subquery:
    """What needs an event, as request id, kind of the event and time; and the events of the outbox."""
    entries = [
        select(ledger.c.request_id, _literal(event).label("event"), ledger.c.at_ms.label("at_ms"), one("causes")).where(
            ledger.c.kind == kind, ledger.c.note == note
        )
        for kind, note, event in EVENTS_OF_ENTRIES
    ]
    placed = select(
        orders.c.id.label("request_id"),
        _literal(constants.ORDER_PLACED).label("event"),
        orders.c.created_ms.label("at_ms"),
        one("causes"),
    )
    rejected = select(
        requests.c.id.label("request_id"),
        _literal(constants.ORDER_REJECTED).label("event"),
        requests.c.created_ms.label("at_ms"),
        one("causes"),
    ).where(rejected_order())
    events = select(outbox.c.request_id, outbox.c.kind.label("event"), one("events"))
    events = events.where(outbox.c.kind != constants.STOCK_CHANGED)  # see `stock_events`
    return stack(placed, rejected, *entries, events)


def _literal(event: str) -> ColumnElement[str]:
    return literal_column(f"'{event}'", outbox.c.kind.type)
