"""What the shop's workloads share: a catalogue of many SKUs, users with points, and orders with known differences."""

from collections.abc import Sequence
from typing import Final

from stockade.core import Command, Key
from stockade.lab.model.burst import RepeatNames
from stockade.lab.workloads.workload import Request
from stockade.shop.commands import AdjustStock, ChargePoints, CreateProduct, NewSku, OrderLine, PlaceOrder
from stockade.shop.model import constants
from stockade.shop.model.limits import MAX_SKUS

PRICE: Final = 1_000
BALANCE: Final = 100_000_000_000  # points of a user who never runs out


def stock_keys(names: RepeatNames, count: int) -> tuple[Key, ...]:
    """The rows of a catalogue."""
    return tuple(Key("stock", names.id("sku", n)) for n in range(count))


def catalogue(names: RepeatNames, stock: Sequence[int]) -> list[Command]:
    """Commands that make the rows of `stock_keys`, with so many units each.

    Args:
        names: of the recording.
        stock: units of each SKU, in order.
    """
    made: list[Command] = []
    keys = stock_keys(names, len(stock))
    for at in range(0, len(stock), MAX_SKUS):
        skus = tuple(NewSku(PRICE, stock[n], keys[n].id) for n in range(at, min(at + MAX_SKUS, len(stock))))
        made.append(
            CreateProduct(*names.request("product", at), "lab", "lab", skus, product_id=names.id("product", at))
        )
    return made


def users(names: RepeatNames, count: int) -> tuple[str, ...]:
    """Ids of users."""
    return tuple(names.id("user", n) for n in range(count))


def accounts(names: RepeatNames, balances: Sequence[int]) -> list[Command]:
    """Commands that charge the accounts of `users`."""
    pairs = zip(users(names, len(balances)), balances, strict=True)
    return [ChargePoints(*names.request("open", user), user, balance) for user, balance in pairs if balance]


def place(
    names: RepeatNames, number: int, user: str, lines: Sequence[OrderLine], pay: str, *, reserve_ms: int = 600_000
) -> Request:
    """An order; one that is paid at once takes stock and points, one that is paid later only reserves."""
    command = PlaceOrder(*names.request("order", number), user, tuple(lines), pay, reserve_ms)
    takes = {f"stock:{line.sku_id}": line.quantity for line in lines}
    if pay != constants.POINTS:
        return Request(command, dict.fromkeys(takes, 0), takes)
    takes[f"points:{user}"] = PRICE * sum(line.quantity for line in lines)
    return Request(command, {key: -units for key, units in takes.items()}, takes)


def deliver(names: RepeatNames, number: int, sku: Key, units: int) -> Request:
    """A delivery to the stock of a SKU."""
    command = AdjustStock(*names.request("delivery", number), sku.id, units, "delivery")
    return Request(command, {f"stock:{sku.id}": units})
