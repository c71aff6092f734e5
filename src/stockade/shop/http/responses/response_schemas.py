"""The response bodies of accepted commands as types, for the OpenAPI document; the commands make the bodies themselves.

A test compares each type with the body that its command makes. The types of reads are in `queries`.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from stockade.shop.model.fields import (
    Amount,
    Approved,
    Available,
    Balance,
    Category,
    ChargeId,
    Currency,
    Method,
    Name,
    OnHand,
    OrderId,
    PaymentId,
    PgOrderId,
    Price,
    ProductId,
    ProductStatus,
    Quantity,
    RefundId,
    RefundStatus,
    Reserved,
    SkuId,
    Time,
    Total,
    Version,
)

_ID = "019a5c3e7e20b0c1d2e3f40516273849"


class OrderedLine(msgspec.Struct):
    """A line of a new order, with the price that was copied."""

    sku_id: SkuId
    product_id: ProductId
    quantity: Quantity
    price: Price


class Ordered(msgspec.Struct, omit_defaults=True):
    """A new order; `reserved_until` while it waits to be paid, `pg_order_id` if a gateway may be asked."""

    order_id: OrderId
    status: Annotated[Literal["PAID", "RESERVED"], Meta(description="RESERVED until it is paid.", examples=["PAID"])]
    total: Total
    lines: Annotated[list[OrderedLine], Meta(description="What was ordered, at the prices of the decision.")]
    reserved_until: Time | msgspec.UnsetType = msgspec.UNSET
    pg_order_id: PgOrderId | msgspec.UnsetType = msgspec.UNSET


class Paid(msgspec.Struct, omit_defaults=True):
    """A payment; with points, the balance after it; through a gateway, its currency."""

    payment_id: PaymentId
    order_id: OrderId
    status: Approved
    amount: Amount
    balance: Balance | msgspec.UnsetType = msgspec.UNSET
    currency: Currency | msgspec.UnsetType = msgspec.UNSET


class ChargeConfirmed(msgspec.Struct):
    """A charge that the gateway has approved, and the balance after it."""

    payment_id: PaymentId
    charge_id: ChargeId
    status: Approved
    amount: Amount
    currency: Currency
    balance: Balance


class PaymentOpen(msgspec.Struct, omit_defaults=True):
    """A payment of an order or a charge of which it is not known whether the gateway has charged."""

    payment_id: PaymentId
    status: Annotated[
        Literal["APPROVING", "UNKNOWN"],
        Meta(description="UNKNOWN: the gateway gave no definite answer.", examples=["UNKNOWN"]),
    ]
    amount: Amount
    currency: Currency
    order_id: OrderId | msgspec.UnsetType = msgspec.UNSET
    charge_id: ChargeId | msgspec.UnsetType = msgspec.UNSET


class Received(msgspec.Struct):
    """A notice of a gateway that need not be sent again."""

    received: Annotated[bool, Meta(description="Always true.", examples=[True])] = True


class Refund(msgspec.Struct, omit_defaults=True):
    """The part of one payment that was returned, or through a gateway is to be returned."""

    payment_id: PaymentId
    method: Method
    amount: Amount
    refund_id: RefundId | msgspec.UnsetType = msgspec.UNSET
    status: RefundStatus | msgspec.UnsetType = msgspec.UNSET


class Cancelled(msgspec.Struct):
    """A cancelled order; `refunds` is empty where nothing was paid. Of a payment that was under way it is not known yet
    whether there is one: the state is UNKNOWN, without `refund_id`."""

    order_id: OrderId
    status: Annotated[Literal["CANCELLED"], Meta(description="It was cancelled.", examples=["CANCELLED"])]
    refunds: Annotated[list[Refund], Meta(description="What was returned; empty where nothing was paid.")]


class CancelledUnits(msgspec.Struct):
    """Units of a line that were cancelled, and what they cost."""

    sku_id: SkuId
    quantity: Quantity
    amount: Amount


class LinesCancelled(msgspec.Struct):
    """An order of which lines were cancelled; `refunds` is empty where nothing was paid."""

    order_id: OrderId
    status: Annotated[
        Literal["RESERVED", "PAID", "CANCELLED"],
        Meta(description="Of the order; CANCELLED when nothing is left of it.", examples=["PAID"]),
    ]
    lines: Annotated[list[CancelledUnits], Meta(description="What this request has cancelled.")]
    refunds: Annotated[list[Refund], Meta(description="What was returned for it; empty where nothing was paid.")]


class Charged(msgspec.Struct, omit_defaults=True):
    """A charge, and the balance after it; or one that the gateway is to approve."""

    charge_id: ChargeId
    status: Annotated[
        Literal["APPROVED", "READY"], Meta(description="READY until the gateway has approved.", examples=["APPROVED"])
    ]
    amount: Amount
    balance: Balance | msgspec.UnsetType = msgspec.UNSET
    currency: Currency | msgspec.UnsetType = msgspec.UNSET
    pg_order_id: PgOrderId | msgspec.UnsetType = msgspec.UNSET


class Adjusted(msgspec.Struct):
    """A stock adjustment, and the stock after it."""

    entry_id: Annotated[str, Meta(description="Id of the adjustment.", examples=[_ID])]
    sku_id: SkuId
    on_hand: OnHand
    reserved: Reserved
    available: Available


class InCart(msgspec.Struct):
    """A SKU in the cart, with its price and what is available now."""

    sku_id: SkuId
    quantity: Quantity
    price: Price
    available: Available


class CreatedSku(msgspec.Struct):
    """A SKU of the product."""

    id: SkuId
    price: Price
    available: Available


class CreatedProduct(msgspec.Struct):
    """A product as it was made or edited."""

    id: ProductId
    name: Name
    category: Category
    status: ProductStatus
    version: Version
    skus: Annotated[list[CreatedSku], Meta(description="Its SKUs, in the order of the request.")]


class Queued(msgspec.Struct, omit_defaults=True):
    """A command that is queued and not decided yet; one of the ids, of what it will make."""

    status: Annotated[Literal["PENDING"], Meta(description="It is not decided yet.", examples=["PENDING"])]
    order_id: OrderId | msgspec.UnsetType = msgspec.UNSET
    payment_id: PaymentId | msgspec.UnsetType = msgspec.UNSET
    charge_id: ChargeId | msgspec.UnsetType = msgspec.UNSET
