"""The types of request bodies and query strings, each with its limits; msgspec checks them while it decodes.

Unknown members are refused, numbers must be JSON integers. Neighbours: `model.limits` has the limits; `routes` pairs
the types with commands and queries; `openapi` documents them.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from stockade.shop.model.limits import (
    MAX_AMOUNT,
    MAX_CATEGORY,
    MAX_LINES,
    MAX_NAME,
    MAX_QUANTITY,
    MAX_REASON,
    MAX_SKUS,
    MAX_STOCK,
)
from stockade.shop.queries import MAX_DAYS, MAX_LIMIT, MAX_POPULAR

# \Z, not $: Python's $ would let a trailing line feed through. The OpenAPI document has the usual form.
ID_PATTERN = r"^[A-Za-z0-9._:-]{1,64}\Z"

Id = Annotated[str, Meta(pattern=ID_PATTERN, description="1 to 64 letters, digits and any of . _ : -")]
Quantity = Annotated[int, Meta(ge=1, le=MAX_QUANTITY)]
Money = Annotated[int, Meta(ge=0, le=MAX_AMOUNT, description="Won.")]
Reason = Annotated[str, Meta(max_length=MAX_REASON)]
Limit = Annotated[int, Meta(ge=1, le=MAX_LIMIT, description="Items on a page.")]
Cursor = Annotated[str, Meta(max_length=400, description="`next_cursor` of the page before.")]


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all bodies: immutable, without unknown members."""


class LineBody(Body, frozen=True):
    """A number of units of one SKU."""

    sku_id: Id
    quantity: Quantity


class OrderBody(Body, frozen=True):
    """An order: distinct SKUs, paid with points at once or reserved to be paid later."""

    lines: Annotated[list[LineBody], Meta(min_length=1, max_length=MAX_LINES)]
    pay: Literal["POINTS", "LATER"]


class PaymentBody(Body, frozen=True):
    """How to pay; only `POINTS` so far."""

    method: Literal["POINTS"]


class CancelBody(Body, frozen=True):
    """Why an order is cancelled."""

    reason: Reason


class ChargeBody(Body, frozen=True):
    """How many points to add, and how they are paid for; only `INSTANT` so far."""

    amount: Annotated[int, Meta(ge=1, le=MAX_AMOUNT, description="Won.")]
    method: Literal["INSTANT"]


class CartItemBody(Body, frozen=True):
    """How many units are wanted."""

    quantity: Quantity


class SkuBody(Body, frozen=True):
    """A new SKU: its price and its first stock."""

    price: Money
    stock: Annotated[int, Meta(ge=0, le=MAX_STOCK)]


class ProductBody(Body, frozen=True):
    """A new product with its SKUs."""

    name: Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
    category: Annotated[str, Meta(min_length=1, max_length=MAX_CATEGORY)]
    skus: Annotated[list[SkuBody], Meta(min_length=1, max_length=MAX_SKUS)]


class AdjustmentBody(Body, frozen=True):
    """By how much the stock on hand moves, and why."""

    delta: Annotated[int, Meta(ge=-MAX_STOCK, le=MAX_STOCK, extra_json_schema={"not": {"const": 0}})]
    reason: Reason


class PageQuery(Body, frozen=True):
    """Which page of a list."""

    limit: Limit = 20
    cursor: Cursor = ""


class OrderQuery(Body, frozen=True):
    """The signed proof that an order was queued, from its Location."""

    pending: Annotated[str, Meta(max_length=100, description="From the Location of a 202.")] = ""


class ProductsQuery(Body, frozen=True):
    """Which products, in which order."""

    q: Annotated[str, Meta(max_length=200, description="A part of the name, in any case.")] = ""
    sort: Literal["id", "price"] = "id"
    dir: Literal["asc", "desc"] = "asc"
    limit: Limit = 20
    cursor: Cursor = ""


class PopularQuery(Body, frozen=True):
    """Which days, how many products, and what counts."""

    days: Annotated[int, Meta(ge=1, le=MAX_DAYS)] = 3
    limit: Annotated[int, Meta(ge=1, le=MAX_POPULAR)] = 5
    by: Literal["quantity", "revenue"] = "quantity"
