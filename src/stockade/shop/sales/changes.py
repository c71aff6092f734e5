"""What events change in the sums of the hours.

An order counts in the hour in which it was placed, from its payment until it is cancelled: `order.placed` as PAID and
`order.paid` add its lines, `order.lines_cancelled` and `order.cancelled` of a paid order take theirs out of the hour of
the order again. So the sums hold at any time what the orders hold that are PAID.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Select, select

from stockade.shop.model import constants
from stockade.shop.model.tables import orders
from stockade.shop.sales.hours import FOREVER_MS, hour_of
from stockade.store.id_chunks import id_chunks
from stockade.store.schema.tables import outbox

COUNTED_KINDS = (
    constants.ORDER_PLACED,
    constants.ORDER_PAID,
    constants.ORDER_LINES_CANCELLED,
    constants.ORDER_CANCELLED,
)

COUNTED_EVENTS: Select[Any] = select(outbox.c.id, outbox.c.kind, outbox.c.body, outbox.c.created_ms).where(
    outbox.c.kind.in_(COUNTED_KINDS)
)


class HourOfProduct(NamedTuple):
    """The key of a sum."""

    hour_ms: int
    product_id: str


class Sales(NamedTuple):
    """Units, and their price in won."""

    quantity: int
    revenue: int


Changes = Mapping[HourOfProduct, Sales]


class _Line(msgspec.Struct):
    product_id: str
    quantity: int
    price: int


class _Body(msgspec.Struct):
    """What is read of these kinds."""

    order_id: str
    status: str
    lines: list[_Line]
    refunds: list[msgspec.Raw] = []


class Step(NamedTuple):
    """An order that became PAID (1), or was PAID and was cancelled, in part or as a whole (-1)."""

    sign: int
    order: _Body
    placed_ms: int | None  # None: only the order knows


_decode = msgspec.json.Decoder(_Body).decode


def steps_of(events: Iterable[Any]) -> tuple[list[Step], list[str]]:
    """What events change, and which of them cannot be read: each with its id and why.

    Args:
        events: rows of `COUNTED_EVENTS`.
    """
    steps, unreadable = [], []
    for event in events:
        try:
            step = _step(event)
        except msgspec.DecodeError as error:  # it would hold up all later ones, and with them the purge of the outbox
            unreadable.append(f"event {event.id} of kind {event.kind} cannot be read and is not counted: {error}")
            continue
        if step is not None:
            steps.append(step)
    return steps, unreadable


def changes_of(
    connection: Connection, steps: Sequence[Step], *, from_ms: int, before_ms: int = FOREVER_MS
) -> dict[HourOfProduct, Sales]:
    """The changes by steps of orders that were placed from one time on and before another.

    Args:
        connection: to look up when an order was placed that a step names; that never changes.
        steps: of `steps_of`.
        from_ms: milliseconds since 1970; orders placed before it are left out.
        before_ms: milliseconds since 1970; orders placed then or later are left out.
    """
    placed = _placed(connection, sorted({step.order.order_id for step in steps if step.placed_ms is None}))
    changes: dict[HourOfProduct, Sales] = {}
    for sign, order, at_ms in steps:
        placed_ms = placed.get(order.order_id) if at_ms is None else at_ms
        if placed_ms is not None and from_ms <= placed_ms < before_ms:
            for line in order.lines:
                key = HourOfProduct(hour_of(placed_ms), line.product_id)
                quantity, revenue = changes.get(key, (0, 0))
                units = sign * line.quantity
                changes[key] = Sales(quantity + units, revenue + units * line.price)
    return changes


def _step(event: Any) -> Step | None:
    body = _decode(bytes(event.body))
    if event.kind == constants.ORDER_PLACED:
        return Step(1, body, event.created_ms) if body.status == constants.PAID else None
    if event.kind == constants.ORDER_PAID:
        return Step(1, body, None)
    return Step(-1, body, None) if body.refunds else None  # an order that was never paid has no refund


def _placed(connection: Connection, order_ids: Sequence[str]) -> dict[str, int]:
    """When orders were placed."""
    found: dict[str, int] = {}
    for ids in id_chunks(order_ids):
        wanted = select(orders.c.id, orders.c.created_ms).where(orders.c.id.in_(ids))
        found.update((row.id, row.created_ms) for row in connection.execute(wanted))
    return found
