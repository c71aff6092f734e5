"""The states of the shop's protected rows, as `decide` sees them. Field names are column names."""

from typing import NamedTuple


class StockState(NamedTuple):
    """One SKU (product detail): its price and its stock. available = on_hand - reserved.

    `hidden` is 1 while its product is hidden, else 0. It stands here because an order locks or compares this row.
    """

    product_id: str
    price: int
    on_hand: int
    reserved: int
    hidden: int = 0

    @property
    def available(self) -> int:
        return self.on_hand - self.reserved


class ProductState(NamedTuple):
    """A product as people see it; `folded_name` is the name as a search compares it."""

    name: str
    category: str
    status: str
    created_ms: int
    folded_name: str


class SkuOfProduct(NamedTuple):
    """One of the SKUs of a product, which has the same SKUs for ever."""

    id: str


class PointsState(NamedTuple):
    """A user's points account. available = balance - held."""

    balance: int
    held: int

    @property
    def available(self) -> int:
        return self.balance - self.held


class OrderState(NamedTuple):
    """An order. `reserved_until_ms` is 0 without a reservation, `payment_id` is empty until paid."""

    user_id: str
    status: str
    total: int
    pay: str
    reserved_until_ms: int
    payment_id: str
    reason: str
    created_ms: int


class LineState(NamedTuple):
    """One line of an order, with the price copied at order time."""

    sku_id: str
    product_id: str
    quantity: int
    price: int


class PaymentState(NamedTuple):
    """The payment of an order."""

    order_id: str
    user_id: str
    status: str
    method: str
    amount: int
    created_ms: int
