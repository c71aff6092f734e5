"""Attempts and refunds that a gateway left open, and single ones: for the payments room and the command line."""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row, Select, and_, bindparam, select

from stockade.core import Accepted
from stockade.shop.commands.payments.retry_refund import replacement_of
from stockade.shop.commands.payments.settle_payment import late_id, settle_id
from stockade.shop.model import constants
from stockade.shop.model.states import AttemptState, RefundState
from stockade.shop.model.tables import orders, payment_attempts, point_charges, refunds
from stockade.store.outcome_codec import decode_outcome
from stockade.store.schema.tables import requests

MAX_REPLACED: Final = 20  # of one refund, that are followed: a person made each of them


class OpenAttempt(NamedTuple):
    """An attempt.

    Attributes:
        id: of the payment.
        state: as it was read.
        wanted: whether its order or charge still waits for it.
    """

    id: str
    state: AttemptState
    wanted: bool


class Due(NamedTuple):
    """Which rows a reconciler is to act on, the oldest first.

    Attributes:
        gateway: in use; what another one left open is left to a process that uses that one.
        now_ms: wall clock in milliseconds since 1970.
        limit: the most rows.
    """

    gateway: str
    now_ms: int
    limit: int


class OpenRefund(NamedTuple):
    """A refund, and the attempt that it belongs to."""

    id: str
    state: RefundState
    attempt: AttemptState


_WANTED_ORDER = and_(orders.c.id == payment_attempts.c.subject_id, orders.c.payment_id == payment_attempts.c.id)
_WANTED_CHARGE = and_(
    point_charges.c.id == payment_attempts.c.subject_id, point_charges.c.payment_id == payment_attempts.c.id
)
_ATTEMPTS = (
    select(
        payment_attempts.c.id,
        *(payment_attempts.c[name] for name in AttemptState._fields),
        orders.c.id.label("order_"),
        point_charges.c.id.label("charge_"),
    )
    .select_from(payment_attempts)
    .outerjoin(orders, _WANTED_ORDER)
    .outerjoin(point_charges, _WANTED_CHARGE)
)
_REFUNDS = (
    select(
        refunds.c.id,
        *(refunds.c[name] for name in RefundState._fields),
        *(payment_attempts.c[name].label(f"attempt_{name}") for name in AttemptState._fields),
    )
    .select_from(refunds)
    .join(payment_attempts, payment_attempts.c.id == refunds.c.payment_id)
)
_OF_GATEWAY = payment_attempts.c.gateway == bindparam("gateway")
_DUE_ATTEMPTS = _ATTEMPTS.where(
    payment_attempts.c.resolve_at_ms > 0, payment_attempts.c.resolve_at_ms <= bindparam("now_ms"), _OF_GATEWAY
).order_by(payment_attempts.c.resolve_at_ms, payment_attempts.c.id)
_DUE_REFUNDS = _REFUNDS.where(
    refunds.c.resolve_at_ms > 0, refunds.c.resolve_at_ms <= bindparam("now_ms"), _OF_GATEWAY
).order_by(refunds.c.resolve_at_ms, refunds.c.id)


def attempt(connection: Connection, payment_id: str) -> OpenAttempt | None:
    """One attempt by the id of its payment, open or settled; None: there is none."""
    return _one(connection, _ATTEMPTS.where(payment_attempts.c.id == payment_id))


def recorded_settlement(connection: Connection, payment_id: str) -> Accepted | None:
    """The outcome of a settled payment as it was recorded; of a late approval, not of the decline before it.

    Returns:
        None: nothing was recorded yet, or that was forgotten.
    """
    ids = (late_id(payment_id), settle_id(payment_id))
    found = connection.execute(select(requests.c.id, requests.c.outcome).where(requests.c.id.in_(ids)))
    outcomes = {row.id: decode_outcome(row.outcome) for row in found}
    return next((each for id_ in ids if isinstance(each := outcomes.get(id_), Accepted)), None)


def attempt_of_reference(connection: Connection, reference: str) -> OpenAttempt | None:
    """One attempt by our reference, open or settled; None: there is none."""
    return _one(connection, _ATTEMPTS.where(payment_attempts.c.reference == reference))


def due_attempts(connection: Connection, due: Due) -> list[OpenAttempt]:
    """Attempts on which a reconciler is to act."""
    return [_attempt(row) for row in _due(connection, _DUE_ATTEMPTS, due)]


def refund(connection: Connection, refund_id: str) -> OpenRefund | None:
    """One refund, open or settled; None: there is none."""
    row = connection.execute(_REFUNDS.where(refunds.c.id == refund_id)).one_or_none()
    return None if row is None else _refund(row)


def newest_refund(connection: Connection, refund_id: str) -> OpenRefund | None:
    """One refund, or the last one of those that took its place; None: there is none."""
    found = refund(connection, refund_id)
    for _ in range(MAX_REPLACED):
        if found is None or found.state.status != constants.REPLACED:
            break
        found = refund(connection, replacement_of(found.id))
    return found


def due_refunds(connection: Connection, due: Due) -> list[OpenRefund]:
    """Refunds on which a reconciler is to act."""
    return [_refund(row) for row in _due(connection, _DUE_REFUNDS, due)]


def refunds_of(connection: Connection, payment_id: str) -> dict[str, RefundState]:
    """All refunds of a payment, open or settled, by id."""
    rows = connection.execute(_REFUNDS.where(refunds.c.payment_id == payment_id))
    return {each.id: each.state for each in map(_refund, rows)}


def _due(connection: Connection, which: Select[Any], due: Due) -> Iterable[Row[Any]]:
    return connection.execute(which.limit(due.limit), {"now_ms": due.now_ms, "gateway": due.gateway})


def _one(connection: Connection, statement: Select[*tuple[object, ...]]) -> OpenAttempt | None:
    row = connection.execute(statement).one_or_none()
    return None if row is None else _attempt(row)


def _attempt(row: Row[*tuple[object, ...]]) -> OpenAttempt:
    *state, order, charge = row[1:]
    return OpenAttempt(str(row[0]), AttemptState._make(state), order is not None or charge is not None)


def _refund(row: Row[*tuple[object, ...]]) -> OpenRefund:
    size = 1 + len(RefundState._fields)
    return OpenRefund(str(row[0]), RefundState._make(row[1:size]), AttemptState._make(row[size:]))
