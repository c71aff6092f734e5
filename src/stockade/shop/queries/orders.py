"""Orders as their owner sees them, with lines and history.

A rejected order is its request row, and a row by which lists find it. Its owner sees it until the purge deletes both,
which is as long as the idempotency key may be repeated (24 hours by default). Neighbour: `order_lists`.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from sqlalchemy import Connection, bindparam, select

from stockade.core import JsonValue, Rejected
from stockade.core.timestamps import rfc3339
from stockade.shop.model import constants
from stockade.shop.model.fields import (
    OrderId,
    OrderStatus,
    PaidWith,
    PaymentId,
    PgOrderId,
    Price,
    ProductId,
    Quantity,
    RefusalCode,
    SkuId,
    Time,
    Total,
    UserId,
)
from stockade.shop.model.payment_reference import next_reference
from stockade.shop.model.tables import cancelled_lines, order_lines, payment_attempts
from stockade.shop.model.tables import orders as order_table
from stockade.store.outcome_codec import decode_outcome
from stockade.store.schema.tables import ledger, requests


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line; product and price (of one unit, at order time) are absent if the order was refused.

    Attributes:
        cancelled: units of it that were cancelled by themselves; absent while none were.
    """

    sku_id: SkuId
    quantity: Quantity
    product_id: ProductId | None = None
    price: Price | None = None
    cancelled: Annotated[int, Meta(description="Units of it that were cancelled by themselves.", examples=[1])] = 0


class Step(msgspec.Struct, frozen=True):
    """When an order or payment came into a state."""

    status: Annotated[str, Meta(description="The state it came into.", examples=["PAID"])]
    at: Time


class Shortage(msgspec.Struct, frozen=True):
    """A line of a refused order whose SKU had too little stock."""

    sku_id: SkuId
    requested: Annotated[int, Meta(description="Units of the line.", examples=[5])]
    available: Annotated[int, Meta(description="Units that there were.", examples=[3])]


class Order(msgspec.Struct, frozen=True, omit_defaults=True):
    """An order.

    Attributes:
        reason: why it was cancelled, or the code with which it was refused or ended; absent otherwise.
        reserved_until: only while RESERVED.
        payment_id: once paid, also after a refund; while PAYING, the payment that is under way. It stays if the order
            is cancelled then, unless it is declined.
        pg_order_id: only while RESERVED, where a gateway can be asked.
        cancelled: what the units cost that were cancelled by themselves; `total` stays what was ordered.
        refunded: what came back of its payment, or is owed.
        shortages: of an order refused with OUT_OF_STOCK.
    """

    order_id: OrderId
    user_id: UserId
    status: OrderStatus
    lines: Annotated[list[Line], Meta(description="What was ordered; empty while the order is queued.")]
    history: Annotated[list[Step], Meta(description="Its states, the first one first.")]
    created_at: Time
    total: Total | None = None
    pay: PaidWith | None = None
    reason: RefusalCode | None = None
    reserved_until: Time | None = None
    payment_id: PaymentId | None = None
    shortages: Annotated[list[Shortage] | None, Meta(description="Of an order refused with OUT_OF_STOCK.")] = None
    cancelled: Annotated[
        int | None,
        Meta(
            description="What the units cost that were cancelled by themselves: `total` less this is to be paid.",
            examples=[1000],
        ),
    ] = None
    refunded: Annotated[
        int | None,
        Meta(description="What of its payment came back, or that a gateway is to give back.", examples=[1000]),
    ] = None
    pg_order_id: PgOrderId | None = None


_ONE = select(order_table).where(order_table.c.id == bindparam("id"))
_REQUESTS = select(requests.c.id, requests.c.outcome, requests.c.created_ms)
_LINES = select(order_lines).order_by(order_lines.c.order_id, order_lines.c.line)
_CANCELLED = select(cancelled_lines).order_by(cancelled_lines.c.order_id, cancelled_lines.c.line)
_ATTEMPTS = (
    select(payment_attempts.c.id, payment_attempts.c.subject_id, payment_attempts.c.refunds)
    .where(payment_attempts.c.subject == constants.ORDER)
    .order_by(payment_attempts.c.created_ms, payment_attempts.c.id)
)
_STEPS = (
    select(ledger.c.row_id, ledger.c.note, ledger.c.at_ms)
    .where(ledger.c.note != constants.CANCEL_LINES)  # the state stays
    .order_by(ledger.c.row_id, ledger.c.version)
)


def order(conn: Connection, order_id: str, user_id: str | None, *, gateway: bool = False) -> Order | None:
    """One order, made or rejected; None when there is none or it is someone else's.

    Args:
        conn: a connection to read on.
        order_id: from the response to the order.
        user_id: the caller; None: an administrator, who sees every order.
        gateway: whether reserved orders can be paid through one: then `pg_order_id` is shown.
    """
    row = conn.execute(_ONE, {"id": order_id}).one_or_none()
    if row is None:
        found = refused_orders(conn, [order_id]).get(order_id)
        return None if found is None or user_id not in (None, found.user_id) else found
    if user_id is not None and row.user_id != user_id:
        return None
    found = complete(conn, [row])[0]
    if gateway and row.status == constants.RESERVED and row.total:
        found = msgspec.structs.replace(found, pg_order_id=next_reference(row.id, row.attempts))
    return found


def history(conn: Connection, kind: str, first: Mapping[str, tuple[str, int]]) -> dict[str, list[Step]]:
    """The states of orders or payments in the order they came, UNKNOWN once for all looks that left it so.

    Args:
        conn: a connection to read on.
        kind: `order`, `payment`, `attempt` or `charge`.
        first: by id, the first state and its time in milliseconds, which have no ledger entry.
    """
    steps = {id_: [Step(status, rfc3339(at_ms))] for id_, (status, at_ms) in first.items()}
    if steps:
        for row in conn.execute(_STEPS.where(ledger.c.kind == kind, ledger.c.row_id.in_(list(steps)))):
            if not row.note == steps[row.row_id][-1].status == constants.UNKNOWN:
                steps[row.row_id].append(Step(row.note, rfc3339(row.at_ms)))
    return steps


def complete(conn: Connection, rows: Sequence[Any]) -> list[Order]:
    """Rows with their lines and history, in three further statements."""
    lines: dict[str, list[Line]] = {row.id: [] for row in rows}
    less = _cancelled(conn, list(lines))
    if lines:
        for line in conn.execute(_LINES.where(order_lines.c.order_id.in_(list(lines)))):
            units = less[line.order_id].units.get(line.line, 0)
            lines[line.order_id].append(Line(line.sku_id, line.quantity, line.product_id, line.price, units))
    first = {
        row.id: (constants.PAID if row.pay == constants.POINTS else constants.RESERVED, row.created_ms) for row in rows
    }
    steps = history(conn, "order", first)
    attempts = _after_cancellation(conn, rows)
    return [
        Order(
            row.id,
            row.user_id,
            row.status,
            lines[row.id],
            steps[row.id],
            rfc3339(row.created_ms),
            total=row.total,
            pay=row.pay,
            reason=row.reason or None,
            reserved_until=rfc3339(row.reserved_until_ms) if row.status == constants.RESERVED else None,
            payment_id=row.payment_id or (attempts[row.id].id if row.id in attempts else None),
            cancelled=less[row.id].won or None,
            refunded=(attempts[row.id].refunds if row.id in attempts else _refunded(row, less[row.id])) or None,
        )
        for row in rows
    ]


def _after_cancellation(conn: Connection, rows: Sequence[Any]) -> dict[str, Any]:
    """By order: the attempt that was under way when it was cancelled, unless it was declined."""
    ids = [row.id for row in rows if row.status == constants.CANCELLED and row.attempts and not row.payment_id]
    if not ids:
        return {}
    states = (*constants.OPEN_ATTEMPT, constants.UNFULFILLABLE)
    found = _ATTEMPTS.where(payment_attempts.c.subject_id.in_(ids), payment_attempts.c.status.in_(states))
    return {each.subject_id: each for each in conn.execute(found)}


class _Cancelled:
    """What was cancelled of an order by itself: units by line, won, and how much of that was not paid."""

    def __init__(self) -> None:
        self.units: dict[int, int] = {}
        self.won = self.unpaid = 0

    def add(self, row: Any) -> None:
        self.units[row.line] = self.units.get(row.line, 0) + row.quantity
        self.won += row.amount
        self.unpaid += 0 if row.payment_id else row.amount


def _cancelled(conn: Connection, order_ids: Sequence[str]) -> dict[str, _Cancelled]:
    found = {id_: _Cancelled() for id_ in order_ids}
    if found:
        for row in conn.execute(_CANCELLED.where(cancelled_lines.c.order_id.in_(order_ids))):
            found[row.order_id].add(row)
    return found


def _refunded(order: Any, less: _Cancelled) -> int:
    """What came back of the payment of an order, or is owed: of a cancelled one everything that was paid."""
    if not order.payment_id or order.status not in (constants.PAID, constants.CANCELLED):
        return 0
    paid_back: int = (order.total if order.status == constants.CANCELLED else less.won) - less.unpaid
    return paid_back


def refused_orders(conn: Connection, ids: Sequence[str]) -> dict[str, Order]:
    """Rejected orders by their ids, from their request rows; rows of other requests are left out."""
    found: dict[str, Order] = {}
    if not ids:
        return found
    for row in conn.execute(_REQUESTS.where(requests.c.id.in_(ids))):
        outcome = decode_outcome(bytes(row.outcome))
        if isinstance(outcome, Rejected) and outcome.data.get("order_id") == row.id:
            found[row.id] = _refused(row.id, outcome, rfc3339(row.created_ms))
    return found


def _refused(order_id: str, outcome: Rejected, at: str) -> Order:
    return Order(
        order_id,
        str(outcome.data.get("user_id")),
        constants.REJECTED,
        msgspec.convert(outcome.data.get("lines", []), list[Line]),
        [Step(constants.REJECTED, at)],
        at,
        reason=outcome.code,
        shortages=_shortages(outcome.data.get("shortages")),
    )


def _shortages(data: JsonValue) -> list[Shortage] | None:
    return None if data is None else msgspec.convert(data, list[Shortage])
