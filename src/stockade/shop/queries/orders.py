"""Orders as their owner sees them, with lines and history.

A rejected order is only its request row. Its owner sees it until the purge deletes that row, which is as long as the
idempotency key may be repeated (24 hours by default). Lists show accepted orders only.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, select

from stockade.core import JsonValue, Rejected
from stockade.core.timestamps import rfc3339
from stockade.shop.model import constants
from stockade.shop.model.tables import order_lines
from stockade.shop.model.tables import orders as order_table
from stockade.shop.queries.page import Page, after, check_limit, decode_cursor, page
from stockade.store.outcome_codec import decode_outcome
from stockade.store.schema.tables import ledger, requests

_SCOPE = "orders"


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line; product and price (of one unit, at order time) are absent if the order was refused."""

    sku_id: str
    quantity: int
    product_id: str | None = None
    price: int | None = None


class Step(msgspec.Struct, frozen=True):
    """When an order or payment came into a state."""

    status: str
    at: str


class Shortage(msgspec.Struct, frozen=True):
    """A line of a refused order whose SKU had too little stock."""

    sku_id: str
    requested: int
    available: int


class Order(msgspec.Struct, frozen=True, omit_defaults=True):
    """An order.

    Attributes:
        reason: why it was cancelled, or the code with which it was refused or ended; absent otherwise.
        reserved_until: only while RESERVED.
        payment_id: once paid, also after a refund.
        shortages: of an order refused with OUT_OF_STOCK.
    """

    order_id: str
    user_id: str
    status: str
    lines: list[Line]
    history: list[Step]
    created_at: str
    total: int | None = None
    pay: str | None = None
    reason: str | None = None
    reserved_until: str | None = None
    payment_id: str | None = None
    shortages: list[Shortage] | None = None


_ORDERS = select(order_table)
_ONE = _ORDERS.where(order_table.c.id == bindparam("id"))
_REQUEST = select(requests.c.outcome, requests.c.created_ms).where(requests.c.id == bindparam("id"))
_LINES = select(order_lines).order_by(order_lines.c.order_id, order_lines.c.line)
_STEPS = select(ledger.c.row_id, ledger.c.note, ledger.c.at_ms).order_by(ledger.c.row_id, ledger.c.version)


def order(conn: Connection, order_id: str, user_id: str | None) -> Order | None:
    """One order, made or rejected; None when there is none or it is someone else's.

    Args:
        conn: a connection to read on.
        order_id: from the response to the order.
        user_id: the caller; None: an administrator, who sees every order.
    """
    row = conn.execute(_ONE, {"id": order_id}).one_or_none()
    if row is None:
        return _rejected(conn, order_id, user_id)
    if user_id is not None and row.user_id != user_id:
        return None
    return _complete(conn, [row])[0]


def orders(conn: Connection, user_id: str, *, limit: int = 20, cursor: str | None = None) -> Page[Order]:
    """A page of a user's orders, newest first.

    Raises:
        BadQuery: limit or cursor is not allowed.
    """
    check_limit(limit)
    behind = decode_cursor(cursor, _SCOPE, int, str)
    columns = [order_table.c.created_ms, order_table.c.id]
    statement = _ORDERS.where(order_table.c.user_id == user_id)
    if behind is not None:
        statement = statement.where(after(columns, behind, descending=True))
    rows = conn.execute(statement.order_by(*(column.desc() for column in columns)).limit(limit + 1)).all()
    made = {each.order_id: each for each in _complete(conn, rows[:limit])}
    return page(rows, limit, lambda row: made[row.id], _SCOPE, lambda row: (row.created_ms, row.id))


def history(conn: Connection, kind: str, first: Mapping[str, tuple[str, int]]) -> dict[str, list[Step]]:
    """The states of orders or payments in the order they came.

    Args:
        conn: a connection to read on.
        kind: `order` or `payment`.
        first: by id, the first state and its time in milliseconds, which have no ledger entry.
    """
    steps = {id_: [Step(status, rfc3339(at_ms))] for id_, (status, at_ms) in first.items()}
    if steps:
        for row in conn.execute(_STEPS.where(ledger.c.kind == kind, ledger.c.row_id.in_(list(steps)))):
            steps[row.row_id].append(Step(row.note, rfc3339(row.at_ms)))
    return steps


def _complete(conn: Connection, rows: Sequence[Any]) -> list[Order]:
    """Rows with their lines and history, in two further statements."""
    lines: dict[str, list[Line]] = {row.id: [] for row in rows}
    if lines:
        for line in conn.execute(_LINES.where(order_lines.c.order_id.in_(list(lines)))):
            lines[line.order_id].append(Line(line.sku_id, line.quantity, line.product_id, line.price))
    first = {
        row.id: (constants.PAID if row.pay == constants.POINTS else constants.RESERVED, row.created_ms) for row in rows
    }
    steps = history(conn, "order", first)
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
            reserved_until=rfc3339(row.reserved_until_ms) if row.reserved_until_ms else None,
            payment_id=row.payment_id or None,
        )
        for row in rows
    ]


def _rejected(conn: Connection, order_id: str, user_id: str | None) -> Order | None:
    """A rejected order from its request row; None for rows of other requests and of other users."""
    row = conn.execute(_REQUEST, {"id": order_id}).one_or_none()
    outcome = decode_outcome(bytes(row.outcome)) if row is not None else None
    if row is None or not isinstance(outcome, Rejected) or outcome.data.get("order_id") != order_id:
        return None
    owner = str(outcome.data.get("user_id"))
    if user_id is not None and owner != user_id:
        return None
    at = rfc3339(row.created_ms)
    return Order(
        order_id,
        owner,
        constants.REJECTED,
        msgspec.convert(outcome.data.get("lines", []), list[Line]),
        [Step(constants.REJECTED, at)],
        at,
        reason=outcome.code,
        shortages=_shortages(outcome.data.get("shortages")),
    )


def _shortages(data: JsonValue) -> list[Shortage] | None:
    return None if data is None else msgspec.convert(data, list[Shortage])
