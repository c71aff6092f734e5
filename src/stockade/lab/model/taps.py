"""Orders that wait for their payment, and the taps that pay them. Neighbours: the presets `payment-*` use both."""

from dataclasses import dataclass
from typing import Final

from stockade.core import Command, Key
from stockade.lab.model.burst import Burst, RepeatNames
from stockade.service.ids import derived_id
from stockade.shop.commands import ClaimPayment, PlaceOrder
from stockade.shop.model import constants

PRICE: Final = 1_000
CURRENCY: Final = "KRW"
SKUS: Final = 100  # of one product, at most; more orders share them


@dataclass(frozen=True, slots=True)
class Checkout:
    """Reserved orders of one unit each, and the commands that make them.

    Attributes:
        names: of the repeat.
        setup: creates the product and the orders.
        stock: the rows of stock.
        orders: reserved by `setup`.
    """

    names: RepeatNames
    setup: tuple[Command, ...]
    stock: tuple[Key, ...]
    orders: tuple[PlaceOrder, ...]

    @classmethod
    def of(cls, names: RepeatNames, count: int) -> "Checkout":
        """So many orders, each of a user of its own."""
        product, stock = names.product(min(count, SKUS), PRICE, stock=-(-count // SKUS))
        sku = [stock[n % len(stock)] for n in range(count)]
        orders = tuple(names.order(n, names.id("user", n), (key,), constants.LATER) for n, key in enumerate(sku))
        return cls(names, (product, *orders), stock, orders)

    def tap(self, order: PlaceOrder, key: object) -> ClaimPayment:
        """A request to pay an order; the same `key` is the same Idempotency-Key, of the same page of the gateway."""
        payment_id = derived_id("lab-tap", order.request_id, str(key))
        return ClaimPayment(
            payment_id,
            derived_id("content", payment_id),
            order.now_ms,
            payment_id,
            constants.ORDER,
            order.request_id,
            order.user_id,
            f"page-{payment_id}",
            PRICE,
            CURRENCY,
            "toss",
            order.now_ms,  # the payer sets the times when it sends
        )

    def workload(self, taps: tuple[ClaimPayment, ...], again: tuple[ClaimPayment, ...] = ()) -> Burst:
        """The taps of the first moment, and those that come when all of these have their answer."""
        units = len(self.orders)
        return Burst(self.setup, taps, self.stock, initial=units, change=-1, again=again)
