"""The types of request bodies and query strings, each with its limits; msgspec checks them while it decodes.

Unknown members are refused, numbers must be JSON integers. Neighbours: `model.limits` has the limits; `routes` pairs
the types with commands and queries; `openapi` documents them.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from stockade.identity.user_ids import MAX_SUBJECT
from stockade.shop.commands.payments.claim_payment import MAX_PAYMENT_KEY
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

_INT64 = {"format": "int64"}


def _id(what: str, example: str) -> Meta:
    return Meta(
        pattern=ID_PATTERN, description=f"{what}: 1 to 64 letters, digits and any of . _ : -", examples=[example]
    )


UserId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_SUBJECT,
        pattern=r"^[^\x00-\x1f\x7f-\x9f]+\Z",
        description="Orders of this user: the `user_id` that the service shows, or the name at the identity provider.",
        examples=["user-1"],
    ),
]
SkuId = Annotated[str, _id("Id of a SKU", "sku-1")]
Quantity = Annotated[
    int, Meta(ge=1, le=MAX_QUANTITY, description="Number of units.", examples=[2], extra_json_schema=_INT64)
]
Price = Annotated[
    int,
    Meta(
        ge=0,
        le=MAX_AMOUNT,
        description="Price of one unit, in the smallest unit of the currency.",
        examples=[1000],
        extra_json_schema=_INT64,
    ),
]
Name = Annotated[
    str, Meta(min_length=1, max_length=MAX_NAME, description="Name of the product.", examples=["Product 1"])
]
Category = Annotated[
    str, Meta(min_length=1, max_length=MAX_CATEGORY, description="Category of the product.", examples=["clothes"])
]
Reason = Annotated[
    str, Meta(max_length=MAX_REASON, description="Why; a text for people, may be empty.", examples=["counted again"])
]
Limit = Annotated[int, Meta(ge=1, le=MAX_LIMIT, description="Most items on the page.", examples=[20])]
Cursor = Annotated[
    str,
    Meta(max_length=400, description="`next_cursor` of the page before; empty for the first page.", examples=[""]),
]
# a text: as a time, a query string would also be read as a number of seconds
Moment = Annotated[str, Meta(examples=["2026-03-01T00:00:00Z"], extra_json_schema={"format": "date-time"})]


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all bodies: immutable, without unknown members."""


class LineBody(Body, frozen=True):
    """A number of units of one SKU."""

    sku_id: SkuId
    quantity: Quantity


class OrderBody(Body, frozen=True):
    """An order: distinct SKUs, paid with points at once or reserved to be paid later."""

    lines: Annotated[
        list[LineBody],
        Meta(min_length=1, max_length=MAX_LINES, description="What is ordered; each SKU in one line only."),
    ]
    pay: Annotated[
        Literal["POINTS", "LATER"],
        Meta(description="POINTS: take the points now. LATER: reserve, to be paid later.", examples=["LATER"]),
    ]
    expected_total: (
        Annotated[
            int,
            Meta(
                ge=0,
                le=MAX_AMOUNT,
                description="What the buyer was told that all lines cost. Another total is refused with "
                "PRICE_CHANGED; without this member the prices of the decision are taken.",
                examples=[2000],
                extra_json_schema=_INT64,
            ),
        ]
        | UnsetType
    ) = UNSET


PaymentKey = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_PAYMENT_KEY,
        description="What the buyer's page has received from the payment gateway.",
        examples=["tviva20261129173015"],
    ),
]
AgreedAmount = Annotated[
    int,
    Meta(
        ge=1,
        le=MAX_AMOUNT,
        description="What the buyer agreed to pay, in the smallest unit of the currency.",
        examples=[5000],
        extra_json_schema=_INT64,
    ),
]


class LineToCancelBody(Body, frozen=True):
    """Units of one line of an order."""

    sku_id: SkuId
    quantity: (
        Annotated[
            int,
            Meta(
                ge=1,
                le=MAX_QUANTITY,
                description="How many units, at most what is left of the line; without this member all of them.",
                examples=[1],
                extra_json_schema=_INT64,
            ),
        ]
        | UnsetType
    ) = UNSET


class CancelLinesBody(Body, frozen=True):
    """Which lines of an order to cancel, and why."""

    lines: Annotated[
        list[LineToCancelBody],
        Meta(min_length=1, max_length=MAX_LINES, description="Lines of the order; each SKU once."),
    ]
    reason: Reason


class PaymentBody(Body, frozen=True):
    """How to pay. PG, through the payment gateway, needs `payment_key` and `amount`; POINTS takes neither."""

    method: Annotated[
        Literal["POINTS", "PG"], Meta(description="With points, or through the payment gateway.", examples=["PG"])
    ]
    payment_key: PaymentKey | UnsetType = UNSET
    amount: AgreedAmount | UnsetType = UNSET


# What a type cannot say about members that depend on each other, for the OpenAPI document; by the name of the type.
DEPENDENT_MEMBERS: Final = {
    "PaymentBody": {
        "anyOf": [
            {"properties": {"method": {"const": "PG"}}, "required": ["payment_key", "amount"]},
            {"properties": {"method": {"const": "POINTS"}, "payment_key": False, "amount": False}},
        ]
    }
}


class ConfirmBody(Body, frozen=True):
    """What the buyer's page has received from the payment gateway."""

    payment_key: PaymentKey
    amount: AgreedAmount


class CancelBody(Body, frozen=True):
    """Why an order is cancelled."""

    reason: Reason


class ChargeBody(Body, frozen=True):
    """How many points to add, and how they are paid for."""

    amount: Annotated[
        int,
        Meta(
            ge=1,
            le=MAX_AMOUNT,
            description="Points to add: each is worth one of the smallest unit of the currency.",
            examples=[5000],
            extra_json_schema=_INT64,
        ),
    ]
    method: Annotated[
        Literal["INSTANT", "PG"],
        Meta(
            description="INSTANT: they are added at once. PG: once the payment gateway has approved.",
            examples=["INSTANT"],
        ),
    ]


class CartItemBody(Body, frozen=True):
    """How many units are wanted."""

    quantity: Quantity


class SkuBody(Body, frozen=True):
    """A new SKU: its price and its first stock."""

    price: Price
    stock: Annotated[
        int, Meta(ge=0, le=MAX_STOCK, description="Units in stock.", examples=[100], extra_json_schema=_INT64)
    ]


class ProductBody(Body, frozen=True):
    """A new product with its SKUs."""

    name: Name
    category: Category
    skus: Annotated[
        list[SkuBody],
        Meta(min_length=1, max_length=MAX_SKUS, description="Its SKUs; a product has the same SKUs for ever."),
    ]


class EditedSkuBody(Body, frozen=True):
    """A SKU of the product, and its price from now on."""

    id: SkuId
    price: Price


class EditedProductBody(Body, frozen=True):
    """Everything of a product that can be edited; all of it is replaced."""

    version: Annotated[
        int,
        Meta(
            ge=1,
            le=2**53,
            description="Version of the product that was read; another one is refused with VERSION_CONFLICT.",
            examples=[1],
            extra_json_schema=_INT64,
        ),
    ]
    name: Name
    category: Category
    status: Annotated[
        Literal["ACTIVE", "HIDDEN"],
        Meta(description="HIDDEN: not listed, and no order of it is accepted.", examples=["ACTIVE"]),
    ]
    skus: Annotated[
        list[EditedSkuBody],
        Meta(min_length=1, max_length=MAX_SKUS, description="Every SKU of the product once, with its price."),
    ]


class AdjustmentBody(Body, frozen=True):
    """By how much the stock on hand moves, and why."""

    delta: Annotated[
        int,
        Meta(
            ge=-MAX_STOCK,
            le=MAX_STOCK,
            description="Units to add or, if negative, to remove; not 0.",
            examples=[5],
            extra_json_schema={"not": {"const": 0}, **_INT64},
        ),
    ]
    reason: Reason


class PageQuery(Body, frozen=True):
    """Which page of a list."""

    limit: Limit = 20
    cursor: Cursor = ""


class OrderQuery(Body, frozen=True):
    """The signed proof that an order was queued, from its Location."""

    pending: Annotated[
        str, Meta(max_length=100, description="From the Location of a 202; empty otherwise.", examples=[""])
    ] = ""


class ProductsQuery(Body, frozen=True):
    """Which products, in which order."""

    q: Annotated[
        str, Meta(max_length=200, description="A part of the name, in any case; empty for all.", examples=["product"])
    ] = ""
    sort: Annotated[
        Literal["id", "price"], Meta(description="By id, or by the price of the cheapest SKU.", examples=["price"])
    ] = "id"
    dir: Annotated[Literal["asc", "desc"], Meta(description="Ascending or descending.", examples=["asc"])] = "asc"
    limit: Limit = 20
    cursor: Cursor = ""


class AllProductsQuery(ProductsQuery, frozen=True):
    """Which products, in which order, for administrators."""

    status: Annotated[
        Literal["ACTIVE", "HIDDEN"], Meta(description="Those on sale, or the hidden ones.", examples=["HIDDEN"])
    ] = "ACTIVE"


class AllOrdersQuery(Body, frozen=True):
    """Which orders of all users; the filters are combined."""

    user_id: UserId | UnsetType = UNSET
    status: (
        Annotated[
            Literal["RESERVED", "PAYING", "PAID", "CANCELLED", "EXPIRED", "REJECTED"],
            Meta(description="Orders in this state.", examples=["PAID"]),
        ]
        | UnsetType
    ) = UNSET
    product_id: (
        Annotated[str, _id("Orders with a line of this product; not together with REJECTED", "product-1")] | UnsetType
    ) = UNSET
    since: Annotated[Moment, Meta(description="Orders made at or after this time (RFC 3339).")] | UnsetType = UNSET
    until: (
        Annotated[
            Moment, Meta(description="Orders made before this time (RFC 3339).", examples=["2027-03-01T00:00:00Z"])
        ]
        | UnsetType
    ) = UNSET
    limit: Limit = 20
    cursor: Cursor = ""


class PopularQuery(Body, frozen=True):
    """Which days, how many products, and what counts."""

    days: Annotated[
        int, Meta(ge=1, le=MAX_DAYS, description="Length of the window in days of 24 hours.", examples=[3])
    ] = 3
    limit: Annotated[int, Meta(ge=1, le=MAX_POPULAR, description="Most products.", examples=[5])] = 5
    by: Annotated[
        Literal["quantity", "revenue"], Meta(description="Units, or what they cost.", examples=["quantity"])
    ] = "quantity"
