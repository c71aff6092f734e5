"""Lines of an order and what they do to stock: taking for a new order, moving for one that exists.

This runs thousands of times a second inside one batch, hence plain loops and no copies.
"""

from collections.abc import Sequence
from typing import NamedTuple

from stockade.core import Change, Insert, JsonValue, Key, Rejected, Rows
from stockade.shop.model import constants
from stockade.shop.model.limits import MAX_AMOUNT
from stockade.shop.model.states import LineState, StockState


class OrderLine(NamedTuple):
    """What a buyer asks for: so many units of one SKU."""

    sku_id: str
    quantity: int


class Taken(NamedTuple):
    """Stock taken for a new order: the changed rows, the lines to insert, the lines to tell, and their sum."""

    changes: dict[Key, Change]
    inserts: list[Insert]
    lines: list[JsonValue]
    total: int


def stock_keys(lines: Sequence[OrderLine | LineState]) -> list[Key]:
    """The stock rows of the lines, in line order."""
    return [Key("stock", line.sku_id) for line in lines]


def take(order_id: str, lines: Sequence[OrderLine], keys: Sequence[Key], rows: Rows, reserve: bool) -> Taken | Rejected:
    """Take every line at today's price, or say everything that is missing.

    Args:
        order_id: of the order that takes them.
        lines: checked by `rules.lines_problem` before.
        keys: the stock row of each line, in line order; further keys are ignored.
        rows: with all those rows.
        reserve: speak for the units instead of deducting them.

    Returns:
        Rejected with SKU_NOT_FOUND naming all unknown SKUs, OUT_OF_STOCK naming all short lines, or LIMIT_EXCEEDED;
        its data is to be completed by the caller.
    """
    changes: dict[Key, Change] = {}
    inserts: list[Insert] = []
    told: list[JsonValue] = []
    unknown: list[str] = []
    shortages: list[JsonValue] = []
    total = 0
    for number, ((sku_id, quantity), key) in enumerate(zip(lines, keys, strict=False), 1):
        state = rows[key].state
        if state is None:
            unknown.append(sku_id)
            continue
        product_id, price, on_hand, reserved = state
        if on_hand - reserved < quantity:
            shortages.append({"sku_id": sku_id, "requested": quantity, "available": on_hand - reserved})
            continue
        total += price * quantity
        if reserve:
            after = StockState(product_id, price, on_hand, reserved + quantity)
            changes[key] = Change(after, 0, quantity, constants.RESERVE, order_id)
        else:
            after = StockState(product_id, price, on_hand - quantity, reserved)
            changes[key] = Change(after, -quantity, 0, constants.DEDUCT, order_id)
        line = {"sku_id": sku_id, "product_id": product_id, "quantity": quantity, "price": price}
        told.append(line)
        inserts.append(Insert("order_lines", {"order_id": order_id, "line": number, **line}))
    if unknown:
        return Rejected(constants.SKU_NOT_FOUND, {"sku_ids": unknown})
    if shortages:
        return Rejected(constants.OUT_OF_STOCK, {"shortages": shortages})
    if total > MAX_AMOUNT:
        return Rejected(constants.LIMIT_EXCEEDED, {"limit": MAX_AMOUNT, "total": total})
    return Taken(changes, inserts, told, total)


class Move(NamedTuple):
    """How one unit of an existing order moves the two counters of its stock row, and the ledger's note for it."""

    on_hand: int
    reserved: int
    note: str


SETTLE = Move(-1, -1, constants.DEDUCT)  # what was reserved is paid
GIVE_UP = Move(0, -1, constants.RELEASE)  # what was reserved is free again
TAKE_BACK = Move(1, 0, constants.RESTORE)  # what was sold is on hand again


def move(order_id: str, lines: Sequence[LineState], rows: Rows, how: Move) -> dict[Key, Change] | None:
    """Move the stock of every line of an order.

    Returns:
        The changes, or None when a row is gone or does not hold what the order took: another writer without
        protection has damaged it, and going on would only hide that (`stockade audit` shows it).
    """
    changes: dict[Key, Change] = {}
    for line in lines:
        key = Key("stock", line.sku_id)
        state = rows[key].state
        if state is None:
            return None
        delta = how.on_hand * line.quantity
        held = how.reserved * line.quantity
        after = StockState(state.product_id, state.price, state.on_hand + delta, state.reserved + held)
        if not 0 <= after.reserved <= after.on_hand:
            return None
        changes[key] = Change(after, delta, held, how.note, order_id)
    return changes


def tell(lines: Sequence[LineState]) -> list[JsonValue]:
    """Lines as callers and events are told them."""
    return [
        {"sku_id": line.sku_id, "product_id": line.product_id, "quantity": line.quantity, "price": line.price}
        for line in lines
    ]
