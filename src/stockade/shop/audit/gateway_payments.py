"""Rules about payments through a gateway: each approval is recorded once, and what is owed back was given back.

They compare our own rows; `stockade payments reconcile` compares them with what the gateway says.
Neighbours: `screens.attempts` checks the first three in one pass; `payments` has the rules about every payment.
"""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, literal, or_, select, union_all

from stockade.service.audit.rule_types import Finding, Scope, rule
from stockade.service.audit.stack import one, stack
from stockade.shop.model import constants
from stockade.shop.model.tables import orders, payment_attempts, payments, point_charges, refunds
from stockade.store.schema.tables import ledger, requests

APPROVED = payment_attempts.c.status.in_((constants.APPROVED, constants.CANCELLED))
OPEN = payment_attempts.c.status.in_(constants.OPEN_ATTEMPT)
OF_ORDER = payment_attempts.c.subject == constants.ORDER
OF_CHARGE = payment_attempts.c.subject == constants.CHARGE_SUBJECT
# A reconciler finds what is due at the latest after the longest `reconcile_s`, and postpones what it cannot settle.
OVERDUE_MS = 3_600_000

ORDER_OF = and_(OF_ORDER, orders.c.id == payment_attempts.c.subject_id)
CHARGE_OF = and_(OF_CHARGE, point_charges.c.id == payment_attempts.c.subject_id)


def not_its_payment() -> ColumnElement[bool]:
    """Whether a payment is not the one that an approved attempt of an order made; true where there is none."""
    return func.coalesce(
        or_(
            payments.c.method != constants.PG,
            payments.c.status != payment_attempts.c.status,
            payments.c.amount != payment_attempts.c.charged,
            payments.c.order_id != payment_attempts.c.subject_id,
            *_differs(payments.c.user_id, payments.c.amount),
        ),
        True,
    )


def not_its_charge() -> ColumnElement[bool]:
    """Whether a charge is not the one that an approved attempt made; true where there is none."""
    return func.coalesce(
        or_(
            payment_attempts.c.status != constants.APPROVED,
            point_charges.c.status != constants.APPROVED,
            point_charges.c.payment_id != payment_attempts.c.id,
            point_charges.c.amount != payment_attempts.c.charged,
            *_differs(point_charges.c.user_id, point_charges.c.amount),
        ),
        True,
    )


def _differs(user_id: ColumnElement[str], amount: ColumnElement[int]) -> tuple[ColumnElement[bool], ...]:
    return user_id != payment_attempts.c.user_id, amount != payment_attempts.c.amount


@rule("approved-once")
def approved_once(conn: Connection, scope: Scope) -> Iterator[Finding]:
    """Of the attempts to pay an order or a charge at most one was approved and could be delivered."""
    statement = (
        select(payment_attempts.c.subject_id, func.min(payment_attempts.c.subject), func.count())
        .where(APPROVED)
        .group_by(payment_attempts.c.subject_id)
        .having(func.count() > 1)
    )
    for id_, subject, times in scope.rows(conn, statement):
        yield f"{subject}:{id_}", "at most 1 approval", f"{times} approvals"


@rule("approval-recorded")
def approval_recorded(conn: Connection, scope: Scope) -> Iterator[Finding]:
    """An approved attempt has its payment or its approved charge, of the same amount and person; and the other way
    round."""
    attempts = (
        select(
            payment_attempts.c.id,
            payment_attempts.c.status,
            payment_attempts.c.charged,
            func.coalesce(payments.c.status, point_charges.c.status, "nothing"),
            func.coalesce(payments.c.amount, point_charges.c.amount, 0),
        )
        .join_from(payment_attempts, payments, payments.c.id == payment_attempts.c.id, isouter=True)
        .join(point_charges, CHARGE_OF, isouter=True)
        .where(APPROVED, or_(and_(OF_ORDER, not_its_payment()), and_(OF_CHARGE, not_its_charge())))
    )
    for id_, status, taken, found, amount in scope.rows(conn, attempts):
        yield f"attempt:{id_}", f"{status} {taken} recorded", f"{found} {amount}"
    paid = select(payments.c.id, payments.c.id.label("own")).where(payments.c.method == constants.PG)
    charged = select(point_charges.c.payment_id.label("id"), point_charges.c.id.label("own"))
    charged = charged.where(point_charges.c.status == constants.APPROVED)
    for kind, subject, made in (
        ("payment", constants.ORDER, paid),
        ("charge", constants.CHARGE_SUBJECT, charged),
    ):
        for _, id_ in scope.rows(conn, _without_approval(subject, made)):
            yield f"{kind}:{id_}", "an approved attempt", "none"


def _without_approval(subject: str, made: Select[Any]) -> Select[Any]:
    """Of payments or charges (`id` of their attempt, and their `own` id), those that no approved attempt made."""
    approved = select(payment_attempts.c.id, one("attempts")).where(APPROVED, payment_attempts.c.subject == subject)
    both = stack(made.add_columns(one("made")), approved)
    found = select(both.c.id, func.max(both.c.own)).group_by(both.c.id)
    return found.having(func.sum(both.c.made) > 0, func.sum(both.c.attempts) == 0)


@rule("attempt-of-nothing")
def attempt_of_nothing(conn: Connection, scope: Scope) -> Iterator[Finding]:
    """Every attempt to pay has its order or its charge."""
    statement = (
        select(payment_attempts.c.id, payment_attempts.c.subject, payment_attempts.c.subject_id)
        .join_from(payment_attempts, orders, ORDER_OF, isouter=True)
        .join(point_charges, CHARGE_OF, isouter=True)
        .where(orders.c.id.is_(None), point_charges.c.id.is_(None))
    )
    for id_, subject, subject_id in scope.rows(conn, statement):
        yield f"attempt:{id_}", f"{subject}:{subject_id}", "none"


@rule("points-of-charge")
def points_of_charge(conn: Connection, scope: Scope) -> Iterator[Finding]:
    """A charge that a gateway approved added its amount to its user's points once, any other charge nothing."""
    charges = select(
        point_charges.c.id,
        point_charges.c.user_id,
        case((point_charges.c.status == constants.APPROVED, point_charges.c.amount), else_=0).label("amount"),
    )
    entries = select(ledger.c.ref.label("id"), ledger.c.row_id.label("user_id"), ledger.c.delta, one("entries")).where(
        # a charge without a gateway names itself
        ledger.c.kind == "points",
        ledger.c.note == constants.CHARGE,
        ledger.c.request_id != ledger.c.ref,
    )
    both = stack(charges, entries)
    amount, delta, count = (func.sum(both.c[name]) for name in ("amount", "delta", "entries"))
    statement = (
        select(both.c.id, both.c.user_id, amount, delta, count)
        .group_by(both.c.id, both.c.user_id)
        .having(or_(amount != delta, count != case((amount > 0, 1), else_=0)))
    )
    for id_, user_id, expected, added, times in scope.rows(conn, statement):
        yield f"charge:{id_} points:{user_id}", int(expected), f"{added} by {times} entries"


@rule("refund-sum")
def refund_sum(conn: Connection, scope: Scope) -> Iterator[Finding]:
    """What an attempt is to give back is the sum of its refunds, without those that others took the place of."""
    owed = select(payment_attempts.c.id, payment_attempts.c.refunds.label("owed")).where(
        payment_attempts.c.refunds != 0
    )
    counted = select(refunds.c.payment_id.label("id"), refunds.c.amount).where(refunds.c.status != constants.REPLACED)
    both = stack(owed, counted)
    expected, actual = func.sum(both.c.owed), func.sum(both.c.amount)
    statement = select(both.c.id, expected, actual).group_by(both.c.id).having(expected != actual)
    for id_, owed_, sum_ in scope.rows(conn, statement):
        yield f"attempt:{id_}", f"refunds of {owed_}", f"refunds of {sum_}"


@rule("refund-owed")
def refund_owed(conn: Connection, scope: Scope) -> Iterator[Finding]:
    """What was charged for nothing is given back, all of it; never more than was charged; nothing, if nothing was."""
    charged, given = payment_attempts.c.charged, payment_attempts.c.refunds
    status = payment_attempts.c.status
    wrong = or_(
        given < 0,
        given > charged,
        and_(status.in_((constants.CANCELLED, constants.UNFULFILLABLE)), given != charged),
        and_(or_(OPEN, status == constants.DECLINED), charged != 0),
    )
    statement = select(payment_attempts.c.id, status, charged, given).where(wrong)
    for id_, state, taken, back in scope.rows(conn, statement):
        yield f"attempt:{id_}", f"{state}: all that was charged, or nothing", f"{taken} charged, {back} to give back"


@rule("paying-attempt")
def paying_attempt(conn: Connection, scope: Scope) -> Iterator[Finding]:
    """What is being paid names an attempt of its own that is open, and nothing else does."""
    for id_, kind in scope.rows(conn, _paying_without_attempt()):
        yield f"{kind}:{id_}", "an open attempt", "none"
    statement = (
        select(payment_attempts.c.id, payment_attempts.c.subject, payment_attempts.c.subject_id)
        .join_from(payment_attempts, orders, ORDER_OF, isouter=True)
        .join(point_charges, CHARGE_OF, isouter=True)
        .where(
            OPEN,
            or_(
                and_(orders.c.payment_id == payment_attempts.c.id, orders.c.status != constants.PAYING),
                and_(
                    point_charges.c.payment_id == payment_attempts.c.id, point_charges.c.status != constants.APPROVING
                ),
            ),
        )
    )
    for id_, subject, subject_id in scope.rows(conn, statement):
        yield f"{subject}:{subject_id}", "is being paid", f"is not, and names the open attempt {id_}"


def _paying_without_attempt() -> Select[Any]:
    """Orders and charges that are being paid by nothing."""
    open_order = and_(payment_attempts.c.id == orders.c.payment_id, ORDER_OF, OPEN)
    open_charge = and_(payment_attempts.c.id == point_charges.c.payment_id, CHARGE_OF, OPEN)
    paying = select(orders.c.id, literal("order").label("kind"))
    paying = paying.join_from(orders, payment_attempts, open_order, isouter=True)
    approving = select(point_charges.c.id, literal("charge").label("kind"))
    approving = approving.join_from(point_charges, payment_attempts, open_charge, isouter=True)
    none = payment_attempts.c.id.is_(None)
    return select(
        union_all(
            paying.where(orders.c.status == constants.PAYING, none),
            approving.where(point_charges.c.status == constants.APPROVING, none),
        ).subquery()
    )


@rule("payment-overdue")
def payment_overdue(conn: Connection, scope: Scope) -> Iterator[Finding]:
    """Nothing waits for a reconciler for longer than `OVERDUE_MS`.

    The newest request says what time it is: a shop that stands still, or a copy of it, has nothing overdue. What waits
    for a person (UNKNOWN, no time to resolve it) is no violation: `stockade payments list --unresolved` shows it.
    """
    newest_ms = func.coalesce(select(func.max(requests.c.created_ms)).scalar_subquery(), 0)
    found = []
    for kind, table, begun in (
        ("attempt", payment_attempts, constants.APPROVING),
        ("refund", refunds, constants.READY),
    ):
        due_ms = table.c.resolve_at_ms
        late = or_(and_(due_ms > 0, due_ms < newest_ms - OVERDUE_MS), and_(due_ms <= 0, table.c.status == begun))
        is_open = table.c.status.in_((begun, constants.UNKNOWN))
        found.append(select(table.c.id, literal(kind).label("kind"), table.c.status, due_ms).where(is_open, late))
    for id_, kind, status, at_ms in scope.rows(conn, select(union_all(*found).subquery())):
        yield f"{kind}:{id_}", f"resolved by {at_ms + OVERDUE_MS} ms", status
