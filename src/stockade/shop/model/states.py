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
    """An order.

    `reserved_until_ms` is 0 without a reservation. `payment_id` is empty until it is paid; while it is PAYING, it names
    the attempt that is under way. `attempts` counts how often a gateway was to be asked.
    """

    user_id: str
    status: str
    total: int
    pay: str
    reserved_until_ms: int
    payment_id: str
    reason: str
    created_ms: int
    attempts: int = 0


class LineState(NamedTuple):
    """One line of an order, with the price copied at order time."""

    sku_id: str
    product_id: str
    quantity: int
    price: int


class CancelledLine(NamedTuple):
    """Units of a line that were cancelled by one request, and their price in won.

    `payment_id` is the payment that was refunded for them, empty if the order was not paid then.
    """

    sku_id: str
    quantity: int
    amount: int
    payment_id: str


class PaymentState(NamedTuple):
    """The payment of an order."""

    order_id: str
    user_id: str
    status: str
    method: str
    amount: int
    created_ms: int


class ChargeState(NamedTuple):
    """A charge of points that a gateway is to approve.

    `attempts` counts how often the gateway was to be asked, `payment_id` names the last of these attempts.
    """

    user_id: str
    amount: int
    currency: str
    status: str
    attempts: int
    payment_id: str
    created_ms: int


class AttemptState(NamedTuple):
    """One attempt to have a gateway approve a payment. Its id is the id of the payment.

    `subject` is `order` or `charge`, `subject_id` the id of what is paid. `reference` is our name of the attempt at the
    gateway, and its idempotency key; `gateway_id` the gateway's name of it, empty until it is known. `amount` and
    `currency` are what was asked for, `charged` what the gateway took, `refunds` the sum of what was or is to be given
    back. `code` is the gateway's code of a decline, else why it is open, for operators. `resolve_at_ms` is when a
    reconciler is to act, NEVER when none is; `tries` how often one did.
    """

    subject: str
    subject_id: str
    reference: str
    user_id: str
    gateway: str
    payment_key: str
    amount: int
    currency: str
    fingerprint: str
    created_ms: int
    status: str
    gateway_id: str
    charged: int
    refunds: int
    code: str
    resolve_at_ms: int
    tries: int


class RefundState(NamedTuple):
    """A refund of a payment; `code`, of a refusal, `resolve_at_ms` and `tries` as of an attempt."""

    payment_id: str
    user_id: str
    amount: int
    currency: str
    reason: str
    created_ms: int
    status: str
    gateway_id: str
    code: str
    resolve_at_ms: int
    tries: int
