"""The response bodies of accepted commands as types, for the OpenAPI document; the commands make the bodies themselves.

A test compares each type with the body that its command makes. The types of reads are in `queries`.
"""

from typing import Literal

import msgspec


class OrderedLine(msgspec.Struct):
    """A line of a new order, with the price that was copied."""

    sku_id: str
    product_id: str
    quantity: int
    price: int


class Ordered(msgspec.Struct, omit_defaults=True):
    """A new order; `reserved_until` while it waits to be paid."""

    order_id: str
    status: Literal["PAID", "RESERVED"]
    total: int
    lines: list[OrderedLine]
    reserved_until: str | msgspec.UnsetType = msgspec.UNSET


class Paid(msgspec.Struct):
    """A payment, and the balance after it."""

    payment_id: str
    order_id: str
    status: Literal["APPROVED"]
    amount: int
    balance: int


class Refund(msgspec.Struct):
    """The part of one payment that was returned."""

    payment_id: str
    method: str
    amount: int


class Cancelled(msgspec.Struct):
    """A cancelled order; `refunds` is empty where nothing was paid."""

    order_id: str
    status: Literal["CANCELLED"]
    refunds: list[Refund]


class Charged(msgspec.Struct):
    """A charge, and the balance after it."""

    charge_id: str
    status: Literal["APPROVED"]
    amount: int
    balance: int


class Adjusted(msgspec.Struct):
    """A stock adjustment, and the stock after it."""

    entry_id: str
    sku_id: str
    on_hand: int
    reserved: int
    available: int


class InCart(msgspec.Struct):
    """A SKU in the cart, with its price and what is available now."""

    sku_id: str
    quantity: int
    price: int
    available: int


class CreatedSku(msgspec.Struct):
    """A new SKU."""

    id: str
    price: int
    available: int


class CreatedProduct(msgspec.Struct):
    """A new product."""

    id: str
    name: str
    category: str
    status: Literal["ACTIVE"]
    skus: list[CreatedSku]


class Queued(msgspec.Struct, omit_defaults=True):
    """A command that is queued and not decided yet; one of the ids, of what it will make."""

    status: Literal["PENDING"]
    order_id: str | msgspec.UnsetType = msgspec.UNSET
    payment_id: str | msgspec.UnsetType = msgspec.UNSET
    charge_id: str | msgspec.UnsetType = msgspec.UNSET
