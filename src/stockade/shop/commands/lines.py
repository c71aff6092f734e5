"""What the lines of an order do to stock: a new order takes, a later step of the order moves what was taken.

A batch calls these functions thousands of times a second, hence plain loops and no copies.
"""

from collections.abc import Sequence
from typing import NamedTuple

from stockade.core import Change, Insert, JsonValue, Key, Rejected, Rows
from stockade.shop.model import constants
from stockade.shop.model.limits import MAX_AMOUNT
from stockade.shop.model.states import LineState, StockState


class OrderLine(NamedTuple):
    """One line of a new order: units of one SKU."""

    sku_id: str
    quantity: int


class Taken(NamedTuple):
    """Stock taken for a new order: the changed rows, the lines as records and as JSON, and their total."""

    changes: dict[Key, Change]
    inserts: list[Insert]
    lines: list[JsonValue]
    total: int


def stock_keys(lines: Sequence[OrderLine | LineState]) -> list[Key]:
    """The stock rows of the lines, in line order."""
    return [Key("stock", line.sku_id) for line in lines]


def take(
    order_id: str, lines: Sequence[OrderLine], keys: Sequence[Key], rows: Rows, *, reserve: bool, now_ms: int
) -> Taken | Rejected:
    """Take every line at its current price, or reject and name everything that is missing.

    Args:
        order_id: of the order that takes them.
        lines: already checked by `lines_problem`.
        keys: the stock row of each line, in line order; further keys are ignored.
        rows: with all those rows.
        reserve: reserve the units instead of deducting them.
        now_ms: time of the order, in milliseconds since 1970.

    Returns:
        `Taken`, or Rejected with SKU_NOT_FOUND and all unknown SKUs, NOT_ON_SALE and all hidden ones, OUT_OF_STOCK and
        all short lines, or LIMIT_EXCEEDED; the caller completes its data.
    """
    changes: dict[Key, Change] = {}
    inserts: list[Insert] = []
    as_json: list[JsonValue] = []
    unknown: list[str] = []
    hidden: list[str] = []
    shortages: list[JsonValue] = []
    total = 0
    for number, ((sku_id, quantity), key) in enumerate(zip(lines, keys, strict=False), 1):
        state = rows[key].state
        if state is None:
            unknown.append(sku_id)
            continue
        product_id, price, on_hand, reserved, is_hidden = state
        if is_hidden:
            hidden.append(sku_id)
            continue
        if on_hand - reserved < quantity:
            shortages.append({"sku_id": sku_id, "requested": quantity, "available": on_hand - reserved})
            continue
        total += price * quantity
        if reserve:
            after = StockState(product_id, price, on_hand, reserved + quantity, 0)
            changes[key] = Change(after, 0, quantity, constants.RESERVE, order_id)
        else:
            after = StockState(product_id, price, on_hand - quantity, reserved, 0)
            changes[key] = Change(after, -quantity, 0, constants.DEDUCT, order_id)
        line = {"sku_id": sku_id, "product_id": product_id, "quantity": quantity, "price": price}
        as_json.append(line)
        inserts.append(Insert("order_lines", {"order_id": order_id, "line": number, **line, "created_ms": now_ms}))
    if unknown or hidden or shortages or total > MAX_AMOUNT:
        return _refused(unknown, hidden, shortages, total)
    return Taken(changes, inserts, as_json, total)


def _refused(unknown: list[str], hidden: list[str], shortages: list[JsonValue], total: int) -> Rejected:
    """The first reason of these, with everything that it is about."""
    if unknown:
        return Rejected(constants.SKU_NOT_FOUND, {"sku_ids": unknown})
    if hidden:
        return Rejected(constants.NOT_ON_SALE, {"sku_ids": hidden})
    if shortages:
        return Rejected(constants.OUT_OF_STOCK, {"shortages": shortages})
    return Rejected(constants.LIMIT_EXCEEDED, {"limit": MAX_AMOUNT, "total": total})


class Move(NamedTuple):
    """How one unit of an order changes the two counters of its stock row, and the note of the ledger entry."""

    on_hand: int
    reserved: int
    note: str


DEDUCT_HELD = Move(-1, -1, constants.DEDUCT)  # the reservation is paid
RELEASE_HELD = Move(0, -1, constants.RELEASE)  # the reservation ends
RESTORE_SOLD = Move(1, 0, constants.RESTORE)  # the sale is undone


def move(order_id: str, lines: Sequence[LineState], rows: Rows, how: Move) -> dict[Key, Change] | None:
    """Move the stock of every line of an order.

    Returns:
        The changes, or None when a row is missing or has fewer units than the order took: a writer without protection
        has damaged it. A further change would hide the damage, which `stockade audit` reports.
    """
    changes: dict[Key, Change] = {}
    for line in lines:
        key = Key("stock", line.sku_id)
        state = rows[key].state
        if state is None:
            return None
        delta = how.on_hand * line.quantity
        held = how.reserved * line.quantity
        after = StockState(state.product_id, state.price, state.on_hand + delta, state.reserved + held, state.hidden)
        if not 0 <= after.reserved <= after.on_hand:
            return None
        changes[key] = Change(after, delta, held, how.note, order_id)
    return changes


def amount_of(lines: Sequence[LineState]) -> int:
    """What the units of the lines cost."""
    return sum(line.price * line.quantity for line in lines)


def lines_as_json(lines: Sequence[LineState]) -> list[JsonValue]:
    """The lines as responses and events show them."""
    return [
        {"sku_id": line.sku_id, "product_id": line.product_id, "quantity": line.quantity, "price": line.price}
        for line in lines
    ]
