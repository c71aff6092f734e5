"""Rules about the store's own records: every effect has its request, every fact its event, and nothing has more."""

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

from stockade.shop.audit.rule import Scope, Violation
from stockade.shop.audit.together import one, summed, together
from stockade.shop.model import constants
from stockade.shop.model.tables import orders, payments
from stockade.shop.queries.recorded import refused, refused_order
from stockade.store.outbox import PURGED
from stockade.store.schema.tables import ledger, marks, outbox, requests

_NEVER = 2**63 - 1

# Entries of the ledger that are told to the outside: kind and note of the entry, kind of the event.
TOLD = (
    ("order", constants.PAID, constants.ORDER_PAID),
    ("order", constants.CANCELLED, constants.ORDER_CANCELLED),
    ("order", constants.EXPIRED, constants.ORDER_EXPIRED),
    ("points", constants.CHARGE, constants.POINTS_CHARGED),
    ("stock", constants.ADJUST, constants.STOCK_ADJUSTED),
)


def request_missing(conn: Connection, scope: Scope) -> Iterator[Violation]:
    """Every entry, order and payment was made by a request that is recorded: such requests are never purged."""
    effects = (
        select(ledger.c.request_id.label("id"), ledger.c.at_ms),
        select(orders.c.id, orders.c.created_ms.label("at_ms")),
        select(payments.c.id, payments.c.created_ms.label("at_ms")),
    )
    both = together(*effects, select(requests.c.id, one("requests")))
    statement = select(both.c.id, func.max(both.c.at_ms)).group_by(both.c.id).having(func.sum(both.c.requests) == 0)
    for id_, at_ms in scope.rows(conn, statement):
        yield Violation("request-missing", f"request:{id_}", "a recorded request", f"only its effect, at {at_ms} ms")


def refused_but_done(conn: Connection, scope: Scope) -> Iterator[Violation]:
    """A refused request made no entry, order, payment or event, but the one that tells of the refusal."""
    told = outbox.c.kind != constants.ORDER_REJECTED
    effects = union_all(
        *(
            _of_refused(id_, what).where(which)
            for id_, what, which in (
                (ledger.c.request_id, "a ledger entry", true()),
                (orders.c.id, "an order", true()),
                (payments.c.id, "a payment", true()),
                (outbox.c.request_id, "an event", told),
            )
        )
    ).subquery()
    for id_, what in scope.rows(conn, select(effects).distinct()):
        yield Violation("refused-but-done", f"request:{id_}", "nothing", what)


def _of_refused(id_: Column[str], what: str) -> Select[Any]:
    """The effects of one table that name a refused request.

    The refused ones are grouped, so that they are a small table with a key of its own. That they are there is asked in
    a way that no database takes for an inner join: it might then begin with them and read the effects for each.
    """
    ids = select(requests.c.id).where(refused()).group_by(requests.c.id).subquery()
    there = func.coalesce(ids.c.id, "") != ""
    named: list[ColumnElement[Any]] = [id_.label("id"), literal(what).label("what")]
    effects = select(*named)
    return effects.join_from(id_.table, ids, ids.c.id == id_, isouter=True).where(there)


def event_once(conn: Connection, scope: Scope) -> Iterator[Violation]:
    """Every order made or refused and every step, charge and adjustment has its event in the outbox exactly once.

    Events that were confirmed and purged leave a mark of the time up to which they may be gone.
    """
    both = _facts_and_events()
    count = func.sum(both.c.events)
    expected = func.max(both.c.at_ms) >= purged_ms()
    statement = (
        select(both.c.request_id, both.c.event, count)
        .group_by(both.c.request_id, both.c.event)
        .having(func.sum(both.c.facts) > 0, or_(count > 1, and_(count == 0, expected)))
    )
    for id_, kind, times in scope.rows(conn, statement):
        yield Violation("event-once", f"request:{id_} {kind}", 1, int(times))


def event_without_cause(conn: Connection, scope: Scope) -> Iterator[Violation]:
    """No event tells of what did not happen."""
    both = _facts_and_events()
    statement = (
        select(both.c.request_id, both.c.event)
        .where(both.c.event.in_([constants.ORDER_PLACED, *(event for _, _, event in TOLD)]))
        .group_by(both.c.request_id, both.c.event)
        .having(func.sum(both.c.facts) == 0)
    )
    # the request row of a refusal may be forgotten by now; one that is there must be a refusal
    not_refused = (
        select(outbox.c.request_id, outbox.c.kind)
        .join_from(outbox, requests, requests.c.id == outbox.c.request_id, isouter=True)
        .where(outbox.c.kind == constants.ORDER_REJECTED, func.coalesce(not_(refused_order()), false()))
    )
    for id_, kind in [*scope.rows(conn, statement), *scope.rows(conn, not_refused)]:
        yield Violation("event-without-cause", f"request:{id_} {kind}", "what it tells of", "nothing of it")


def stock_told(conn: Connection, scope: Scope) -> Iterator[Violation]:
    """The newest change of every SKU has its event, none has two, and no such event tells of what did not happen.

    A batch that changes a SKU several times tells of the last change only.
    """
    change = changes_and_events()
    newest, told, excused = newest_of(change).values()
    untold = select(change.c.key, newest).group_by(change.c.key).having(newest > told, newest > excused)
    for key, version in scope.rows(conn, untold):
        yield Violation("stock-told", f"{key} version {version}", 1, 0)
    wrong = select(change.c.key, change.c.request_id, change.c.version, change.c.events).where(told_wrongly(change))
    for key, id_, version, times in scope.rows(conn, wrong):
        if version == 0:
            yield Violation("stock-told", f"{key} request:{id_}", "a change that it tells of", "nothing of it")
        else:
            yield Violation("stock-told", f"{key} version {version}", 1, int(times))


def changes_and_events() -> Subquery:
    """Changes of SKUs with how many events tell of them, and events that tell of no change (version 0)."""
    both = together(
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
    return summed(select(both.c.key, both.c.request_id, *named).group_by(both.c.key, both.c.request_id)).subquery()


def newest_of(change: Subquery) -> dict[str, ColumnElement[int]]:
    """The version of a SKU's newest change, of the newest that is told, and of the newest whose event may be gone."""
    gone = change.c.at_ms < purged_ms()
    of = {"newest": change.c.version > 0, "told": change.c.events > 0, "excused": gone}
    return {name: func.max(case((which, change.c.version), else_=0)) for name, which in of.items()}


def told_wrongly(change: Subquery) -> ColumnElement[bool]:
    """Events of no change, or of a change twice."""
    return and_(change.c.events > 0, or_(change.c.version == 0, change.c.events > 1))


def purged_ms() -> ColumnElement[int]:
    """Events made before that may be gone. A part of each statement: a purge beside the audit raises it."""
    return func.coalesce(select(marks.c.at_ms).where(marks.c.name == PURGED).scalar_subquery(), -_NEVER)


def _facts_and_events() -> Subquery:
    """What was to be told, as request id, kind of the event and time; and the events that the outbox has."""
    told = [
        select(ledger.c.request_id, _word(event).label("event"), ledger.c.at_ms.label("at_ms"), one("facts")).where(
            ledger.c.kind == kind, ledger.c.note == note
        )
        for kind, note, event in TOLD
    ]
    placed = select(
        orders.c.id.label("request_id"),
        _word(constants.ORDER_PLACED).label("event"),
        orders.c.created_ms.label("at_ms"),
        one("facts"),
    )
    rejected = select(
        requests.c.id.label("request_id"),
        _word(constants.ORDER_REJECTED).label("event"),
        requests.c.created_ms.label("at_ms"),
        one("facts"),
    ).where(refused_order())
    events = select(outbox.c.request_id, outbox.c.kind.label("event"), one("events"))
    events = events.where(outbox.c.kind != constants.STOCK_CHANGED)  # `stock_told` looks at these
    return together(placed, rejected, *told, events)


def _word(event: str) -> ColumnElement[str]:
    return literal_column(f"'{event}'", outbox.c.kind.type)
