"""The members of the API's bodies as types: what each one means, its format, and an example.

The OpenAPI document shows them. Queries and the schemas of requests and responses share them, so one thing is described
once. The examples are those of `stockade demo`.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta

_INT64: dict[str, Any] = {"format": "int64"}
_TIME: dict[str, Any] = {"format": "date-time"}

ProductId = Annotated[str, Meta(description="Id of the product.", examples=["product-1"])]
SkuId = Annotated[str, Meta(description="Id of the SKU.", examples=["sku-1"])]
UserId = Annotated[str, Meta(description="Id of the user.", examples=["user-1"])]
OrderId = Annotated[
    str,
    Meta(
        description="Id of the order: the id of the request that made it, so a repeated request names the same one.",
        examples=["019a5c3e7c00b0c1d2e3f40516273849"],
    ),
]
PaymentId = Annotated[str, Meta(description="Id of the payment.", examples=["019a5c3e7d10b0c1d2e3f40516273849"])]
Name = Annotated[str, Meta(description="Name of the product.", examples=["Product 1"])]
Category = Annotated[str, Meta(description="Category of the product.", examples=["clothes"])]
ProductStatus = Annotated[
    Literal["ACTIVE", "HIDDEN"],
    Meta(description="ACTIVE: listed and on sale. HIDDEN: neither.", examples=["ACTIVE"]),
]
Version = Annotated[
    int,
    Meta(
        description="Counts the edits of the product, from 1. An edit names the version that it was made from.",
        examples=[1],
        extra_json_schema=_INT64,
    ),
]
Price = Annotated[
    int,
    Meta(
        description="Price of one unit, in the smallest unit of the currency.",
        examples=[1000],
        extra_json_schema=_INT64,
    ),
]
Quantity = Annotated[int, Meta(description="Number of units.", examples=[2], extra_json_schema=_INT64)]
OnHand = Annotated[
    int, Meta(description="Units in stock, reserved ones too.", examples=[100], extra_json_schema=_INT64)
]
Reserved = Annotated[int, Meta(description="Units that unpaid orders hold.", examples=[3], extra_json_schema=_INT64)]
Available = Annotated[int, Meta(description="Units that can be ordered now.", examples=[97], extra_json_schema=_INT64)]
Total = Annotated[
    int,
    Meta(
        description="Sum of all lines, in the smallest unit of the currency.", examples=[2000], extra_json_schema=_INT64
    ),
]
Amount = Annotated[
    int,
    Meta(
        description="In the smallest unit of the currency.",
        examples=[2000],
        extra_json_schema=_INT64,
    ),
]
Balance = Annotated[int, Meta(description="Points of the account.", examples=[998000], extra_json_schema=_INT64)]
Held = Annotated[
    int, Meta(description="Part of the balance that is held; 0 so far.", examples=[0], extra_json_schema=_INT64)
]
FreePoints = Annotated[
    int, Meta(description="Points that can be used now.", examples=[998000], extra_json_schema=_INT64)
]
Time = Annotated[
    str,
    Meta(description="Time in UTC (RFC 3339).", examples=["2026-03-01T09:30:00.000Z"], extra_json_schema=_TIME),
]
PaidWith = Annotated[
    Literal["POINTS", "LATER"],
    Meta(description="POINTS: paid with points at once. LATER: reserved, to be paid later.", examples=["POINTS"]),
]
ChargeId = Annotated[str, Meta(description="Id of the charge.", examples=["019a5c3e7e20b0c1d2e3f40516273849"])]
RefundId = Annotated[str, Meta(description="Id of the refund.", examples=["3f40516273849019a5c3e7e20b0c1d2e"])]
RefundStatus = Annotated[
    Literal["READY", "UNKNOWN", "REFUNDED", "REFUSED", "REPLACED"],
    Meta(
        description="READY: owed. UNKNOWN: asked for, no definite answer yet. REFUSED: a person has to decide. "
        "REPLACED: it was refused, and another refund took its place.",
        examples=["REFUNDED"],
    ),
]
Currency = Annotated[str, Meta(description="ISO 4217; amounts are in its smallest unit.", examples=["KRW"])]
PgOrderId = Annotated[
    str,
    Meta(
        description="Open the gateway's page with this order id; a declined attempt is followed by another one.",
        examples=["019a5c3e7c00b0c1d2e3f40516273849-1"],
    ),
]
Method = Annotated[
    Literal["POINTS", "PG"], Meta(description="How it was paid: PG is the payment gateway.", examples=["POINTS"])
]
OrderStatus = Annotated[
    Literal["PENDING", "RESERVED", "PAYING", "PAID", "CANCELLED", "EXPIRED", "REJECTED"],
    Meta(
        description=(
            "State of the order. PENDING: queued and not decided yet. PAYING: a gateway is asked to approve its "
            "payment. REJECTED: refused, see `reason`."
        ),
        examples=["PAID"],
    ),
]
PaymentStatus = Annotated[
    Literal["APPROVING", "UNKNOWN", "APPROVED", "DECLINED", "UNFULFILLABLE", "CANCELLED"],
    Meta(
        description=(
            "State of the payment. APPROVING, UNKNOWN: whether the gateway has charged is not known yet. "
            "UNFULFILLABLE: it charged for what can no longer be delivered, and refunds. "
            "CANCELLED: the money was or is returned."
        ),
        examples=["APPROVED"],
    ),
]
NextCursor = Annotated[
    str | None,
    Meta(
        description="Send it as `cursor` for the next page; null on the last page.",
        examples=["WyJvcmRlcnMiLDEsIngiXQ"],
    ),
]
Approved = Annotated[Literal["APPROVED"], Meta(description="It was carried out.", examples=["APPROVED"])]
EntryKind = Annotated[
    Literal["CHARGE", "USE", "REFUND"],
    Meta(description="CHARGE: points were bought. USE: an order was paid. REFUND: it was cancelled.", examples=["USE"]),
]
RefusalCode = Annotated[
    str,
    Meta(
        description="Why the order was cancelled; or the code with which it was refused or ended.",
        examples=["OUT_OF_STOCK"],
    ),
]
