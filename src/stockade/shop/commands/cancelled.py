"""What is left of an order of which single lines were cancelled. Each command that moves or pays lines asks here.

What was cancelled are rows that are only inserted. Their guard is the row of the order, which each cancellation
changes: a command that decides on the lines that are left changes it too, so only one of both can be written.
"""

from collections.abc import Sequence
from typing import NamedTuple

from stockade.core import Key, Row, Rows
from stockade.shop.model.states import CancelledLine, LineState

_AS_INSERTED = 1  # the version of an order that nothing has changed


class Left(NamedTuple):
    """What is left of an order.

    Attributes:
        lines: that have units left, with these units.
        unpaid: the price of the units that were cancelled before the order was paid.
        refunded: the price of the units that were cancelled afterwards.
        cancellations: how often a line was cancelled.
    """

    lines: tuple[LineState, ...]
    unpaid: int = 0
    refunded: int = 0
    cancellations: int = 0


def cancelled_keys(order: Row) -> list[Key]:
    """The key of what was cancelled of an order, for `need_keys`; none if nothing has changed the order so far.

    No command names it in `keys`. So a command that needs it runs alone, under a lock on the order or with its version
    compared, and never in a batch that foresees the rows which an earlier batch is still writing.
    """
    return [Key("order_cancelled", order.key.id)] if order.version > _AS_INSERTED else []


def what_is_left(order: Row, lines: Sequence[LineState], rows: Rows) -> Left:
    """The lines without what was cancelled of them.

    Args:
        order: its row.
        lines: as they were ordered; each SKU is in one of them.
        rows: with those of `cancelled_keys(order)`.
    """
    cancelled: list[CancelledLine] = [each for key in cancelled_keys(order) for each in rows[key].state or ()]
    if not cancelled:
        return Left(tuple(lines))
    units: dict[str, int] = {}
    for each in cancelled:
        units[each.sku_id] = units.get(each.sku_id, 0) + each.quantity
    less = [line._replace(quantity=line.quantity - units.get(line.sku_id, 0)) for line in lines]
    return Left(
        tuple(line for line in less if line.quantity > 0),
        sum(each.amount for each in cancelled if not each.payment_id),
        sum(each.amount for each in cancelled if each.payment_id),
        len(cancelled),
    )
