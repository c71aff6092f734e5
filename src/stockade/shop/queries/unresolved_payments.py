"""Payments and refunds as an operator sees them: what is unresolved, and everything about one of them."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, Select, Table, and_, func, not_, select

from stockade.core.timestamps import rfc3339
from stockade.shop.commands.payments.retry_refund import replacement_of
from stockade.shop.model import constants
from stockade.shop.model.tables import payment_attempts, refunds
from stockade.shop.queries.orders import Step, history

PAYMENT: Final = "payment"
REFUND: Final = "refund"
MAX_COUNTED: Final = 100_000
PERSON: Final = "a person"
RECONCILER: Final = "the reconciler"
NOTHING: Final = ""


class GatewayRecord(msgspec.Struct, frozen=True):
    """A payment through a gateway, or a refund of one.

    Attributes:
        kind: `payment` or `refund`.
        id: of the payment or the refund.
        of: what it pays (`order:ID`, `charge:ID`), or what it refunds (`payment:ID`).
        status: its state.
        waits_for: `a person`, `the reconciler`, `a process with gateway=NAME` where the gateway in use is another one,
            or nothing: it is settled.
        amount: in the smallest unit of `currency`.
        charged: what the gateway took; of a refund 0.
        code: the gateway's, or why it is open.
        created_at: RFC 3339, UTC.
        resolve_at: when a reconciler acts next; None: none will.
        tries: how often one did.
        reference: our name of it at the gateway.
        gateway_id: the gateway's own name of it; empty until it is known.
        replaced_by: of a refused refund that was asked for again, the id of the one that took its place.
    """

    kind: str
    id: str
    of: str
    status: str
    waits_for: str
    amount: int
    currency: str
    charged: int
    code: str
    created_at: str
    resolve_at: str | None
    tries: int
    gateway: str
    reference: str
    gateway_id: str
    replaced_by: str = ""


class Unresolved(NamedTuple):
    """How much is unresolved; each figure counts `MAX_COUNTED` at most.

    Attributes:
        payments: that a reconciler is to resolve.
        refunds: that are owed.
        other_gateway: of these, the payments and refunds of another gateway than the one in use.
        person: payments and refunds that wait for a person, without the refused ones.
        refused: refunds that the gateway refused.
        oldest_ms: by `payments` and `refunds`, when the oldest was begun, in milliseconds since 1970.
    """

    payments: int
    refunds: int
    other_gateway: int
    person: int
    refused: int
    oldest_ms: dict[str, int | None]


class PaymentDetails(msgspec.Struct, frozen=True):
    """A payment, its states, and its refunds; or a refund and its states."""

    record: GatewayRecord
    history: list[Step]
    refunds: list[GatewayRecord]


_ATTEMPTS = select(payment_attempts)
_REFUNDS = select(refunds, payment_attempts.c.gateway).join_from(
    refunds, payment_attempts, payment_attempts.c.id == refunds.c.payment_id, isouter=True
)


def _open_rows(table: Table, states: Sequence[str]) -> tuple[Table, Any, Any]:
    """A table, which of its rows a reconciler is to resolve, and which wait for a person."""
    undecidable = and_(table.c.status == constants.UNKNOWN, table.c.resolve_at_ms == constants.NEVER)
    return table, and_(table.c.status.in_(states), not_(undecidable)), undecidable


_OPEN = {
    "payments": _open_rows(payment_attempts, constants.OPEN_ATTEMPT),
    "refunds": _open_rows(refunds, constants.OPEN_REFUND),
}


def unresolved_payments(conn: Connection, *, limit: int, gateway: str) -> list[GatewayRecord]:
    """Payments without a definite answer, refunds that are not done and those that were refused; the oldest first.

    Args:
        conn: to read on.
        limit: the most of each kind.
        gateway: in use.
    """
    attempts = _ATTEMPTS.where(payment_attempts.c.status.in_(constants.OPEN_ATTEMPT))
    owed = _REFUNDS.where(refunds.c.status.in_((*constants.OPEN_REFUND, constants.REFUSED)))
    rows = conn.execute(attempts.order_by(payment_attempts.c.created_ms, payment_attempts.c.id).limit(limit))
    more = conn.execute(owed.order_by(refunds.c.created_ms, refunds.c.id).limit(limit))
    return [*(_of_attempt(row, gateway) for row in rows), *(_of_refund(row, gateway) for row in more)]


def count_unresolved(conn: Connection, *, gateway: str) -> Unresolved:
    """Count what is unresolved, for the metrics.

    Args:
        conn: to read on.
        gateway: in use; what another one left open waits for a process that uses that one.
    """
    counts, oldest_ms, person = {}, {}, 0
    for name, (table, of_reconciler, undecidable) in _OPEN.items():
        counts[name] = _count(conn, select(table.c.id).where(of_reconciler))
        person += _count(conn, select(table.c.id).where(undecidable))
        oldest_ms[name] = conn.execute(select(func.min(table.c.created_ms)).where(of_reconciler)).scalar()
    refused = _count(conn, select(refunds.c.id).where(refunds.c.status == constants.REFUSED))
    elsewhere = count_of_other_gateways(conn, gateway=gateway)
    return Unresolved(counts["payments"], counts["refunds"], elsewhere, person, refused, oldest_ms)


def count_of_other_gateways(conn: Connection, *, gateway: str) -> int:
    """Count the payments and refunds that a reconciler is to resolve, and none with this gateway will."""
    other = payment_attempts.c.gateway != gateway
    attempts = select(payment_attempts.c.id).where(_OPEN["payments"][1], other)
    owed = select(refunds.c.id).join(payment_attempts, payment_attempts.c.id == refunds.c.payment_id)
    return _count(conn, attempts) + _count(conn, owed.where(_OPEN["refunds"][1], other))


def other_gateway(conn: Connection, *, gateway: str) -> str | None:
    """The name of another gateway that payments were asked of, whatever became of them; None: there is none."""
    return conn.execute(
        select(payment_attempts.c.gateway).where(payment_attempts.c.gateway != gateway).limit(1)
    ).scalar()


def _count(conn: Connection, ids: Select[Any]) -> int:
    return conn.execute(select(func.count()).select_from(ids.limit(MAX_COUNTED).subquery())).scalar_one()


def newest_payments(conn: Connection, *, limit: int, gateway: str) -> list[GatewayRecord]:
    """Payments through a gateway in any state, the newest first."""
    newest = (payment_attempts.c.created_ms.desc(), payment_attempts.c.id.desc())
    return [_of_attempt(row, gateway) for row in conn.execute(_ATTEMPTS.order_by(*newest).limit(limit))]


def payment_details(conn: Connection, id_: str, *, gateway: str) -> PaymentDetails | None:
    """One payment or refund by its id; None: a gateway was asked for no such one."""
    row = conn.execute(_ATTEMPTS.where(payment_attempts.c.id == id_)).one_or_none()
    if row is not None:
        steps = history(conn, "attempt", {id_: (constants.APPROVING, row.created_ms)})[id_]
        of_payment = _REFUNDS.where(refunds.c.payment_id == id_).order_by(refunds.c.created_ms, refunds.c.id)
        given_back = [_of_refund(each, gateway) for each in conn.execute(of_payment)]
        return PaymentDetails(_of_attempt(row, gateway), steps, given_back)
    refund = conn.execute(_REFUNDS.where(refunds.c.id == id_)).one_or_none()
    if refund is None:
        return None
    steps = history(conn, REFUND, {id_: (constants.READY, refund.created_ms)})[id_]
    return PaymentDetails(_of_refund(refund, gateway), steps, [])


def _of_attempt(row: Any, gateway: str) -> GatewayRecord:
    of = f"{row.subject}:{row.subject_id}"
    waits_for = _waits_for(row, constants.OPEN_ATTEMPT, gateway)
    return _record(row, kind=PAYMENT, of=of, reference=row.reference, waits_for=waits_for, charged=row.charged)


def _of_refund(row: Any, gateway: str) -> GatewayRecord:
    waits_for = PERSON if row.status == constants.REFUSED else _waits_for(row, constants.OPEN_REFUND, gateway)
    of = f"{PAYMENT}:{row.payment_id}"
    by = replacement_of(row.id) if row.status == constants.REPLACED else ""
    return _record(row, kind=REFUND, of=of, reference=row.id, waits_for=waits_for, charged=0, replaced_by=by)


def _record(
    row: Any, *, kind: str, of: str, reference: str, waits_for: str, charged: int, replaced_by: str = ""
) -> GatewayRecord:
    return GatewayRecord(
        kind=kind,
        id=row.id,
        of=of,
        status=row.status,
        waits_for=waits_for,
        amount=row.amount,
        currency=row.currency,
        charged=charged,
        code=row.code,
        created_at=rfc3339(row.created_ms),
        resolve_at=rfc3339(row.resolve_at_ms) if row.resolve_at_ms else None,
        tries=row.tries,
        gateway=row.gateway or "",
        reference=reference,
        gateway_id=row.gateway_id,
        replaced_by=replaced_by,
    )


def _waits_for(row: Any, open_: Sequence[str], gateway: str) -> str:
    if row.status not in open_:
        return NOTHING
    if not row.resolve_at_ms:
        return PERSON
    return RECONCILER if row.gateway == gateway else f"a process with gateway={row.gateway}"
