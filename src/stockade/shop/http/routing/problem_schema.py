"""The schema of all errors, with an example for each code. Neighbours: `openapi` shows it, `problems` makes them."""

from typing import Any

import msgspec

from stockade.shop.http.responses.error_codes import ERROR_CODES
from stockade.shop.http.responses.problems import problem

_ORDER_ID = "019a5c3e7c00b0c1d2e3f40516273849"
_PAYMENT_ID = "019a5c3e7d10b0c1d2e3f40516273849"


def _member(type_: str, about: str, example: Any, **more: Any) -> dict[str, Any]:
    return {"type": type_, "description": about, "examples": [example], **more}


def _number(about: str, example: int) -> dict[str, Any]:
    return _member("integer", about, example, format="int64")


def _objects(about: str, **members: dict[str, Any]) -> dict[str, Any]:
    example = {name: each["examples"][0] for name, each in members.items()}
    items = {"type": "object", "required": list(members), "properties": members}
    return _member("array", about, [example], items=items)


_SKU = _member("string", "Id of the SKU.", "sku-1")
_STANDARD = {
    "type": _member(
        "string", "`urn:stockade:problem:` and the code.", "urn:stockade:problem:OUT_OF_STOCK", format="uri"
    ),
    "title": _member("string", "What the code means, in one sentence.", "The stock does not suffice"),
    "status": _member("integer", "The HTTP status.", 409, format="int32"),
    "code": _member("string", "What a program acts on.", "OUT_OF_STOCK", enum=sorted(ERROR_CODES)),
    "detail": _member("string", "What is particular about this occurrence, for people.", "The stock does not suffice"),
    "retryable": _member("boolean", "Whether the same request with the same key may be sent again.", False),
    "outcome": _member(
        "string",
        "What is known about the effect. none: nothing happened. unknown: send the same key again to learn it.",
        "none",
        enum=["none", "unknown"],
    ),
}
_BY_CODE = {
    "shortages": _objects(
        "OUT_OF_STOCK: every line with too little stock.",
        sku_id=_SKU,
        requested=_number("Units of the line.", 5),
        available=_number("Units that there were.", 3),
    ),
    "required": _number("INSUFFICIENT_POINTS: points that are needed.", 2000),
    "available": _number("INSUFFICIENT_POINTS: points that can be used.", 500),
    "limit": _number("LIMIT_EXCEEDED: the largest value that is allowed.", 10**12),
    "balance": _number("LIMIT_EXCEEDED: of a charge, the balance.", 999_999_999_999),
    "on_hand": _number("LIMIT_EXCEEDED: of an adjustment, the units in stock.", 1_000_000_000),
    "total": _number("PRICE_CHANGED, LIMIT_EXCEEDED: what the order costs.", 2200),
    "expected_total": _number("PRICE_CHANGED: as the request said.", 2000),
    "prices": _objects(
        "PRICE_CHANGED: the price of each SKU now.",
        sku_id=_SKU,
        price=_number("Price of one unit, in the smallest unit of the currency.", 1100),
    ),
    "sku_ids": _member(
        "array",
        "SKU_NOT_FOUND, NOT_ON_SALE, PRODUCT_CONFLICT: the SKUs that it is about.",
        ["sku-1"],
        items={"type": "string", "description": "Id of the SKU.", "examples": ["sku-1"]},
    ),
    "order_id": _member("string", "The order that was refused, or that the request is about.", _ORDER_ID),
    "user_id": _member("string", "The buyer of a refused order.", "user-1"),
    "lines": _objects("The lines of a refused order.", sku_id=_SKU, quantity=_number("Units of the line.", 5)),
    "lines_left": _objects(
        "STATE_CONFLICT: of a cancellation of lines, each line of which less is left.",
        sku_id=_SKU,
        requested=_number("Units that were to be cancelled; 0 for the whole line.", 3),
        left=_number("Units that were not cancelled so far.", 1),
    ),
    "payment_id": _member(
        "string",
        "ALREADY_PAID, PAYMENT_IN_PROGRESS, PAYMENT_DECLINED, PAYMENT_UNFULFILLABLE: the payment.",
        _PAYMENT_ID,
    ),
    "charge_id": _member("string", "The charge that the request is about.", "019a5c3e7e20b0c1d2e3f40516273849"),
    "expected": _number("AMOUNT_MISMATCH: what is owed, in the smallest unit of the currency.", 2000),
    "amount": _number("AMOUNT_MISMATCH, PAYMENT_DECLINED, PAYMENT_UNFULFILLABLE: as the request said.", 1999),
    "currency": _member("string", "AMOUNT_MISMATCH, PAYMENT_DECLINED, PAYMENT_UNFULFILLABLE: of the amounts.", "KRW"),
    "decline_code": _member("string", "PAYMENT_DECLINED: the gateway's own code.", "REJECT_CARD_PAYMENT"),
    "refund_id": _member("string", "PAYMENT_UNFULFILLABLE: what is given back.", "3f40516273849019a5c3e7e20b0c1d2e"),
    "product_id": _member("string", "PRODUCT_CONFLICT, VERSION_CONFLICT: the product.", "product-1"),
    "version": _number("VERSION_CONFLICT: the version that the product has now.", 2),
    "problems": _member(
        "array",
        "NOT_READY: everything that is missing.",
        ["the process is stopping"],
        items={"type": "string", "description": "One of them.", "examples": ["the process is stopping"]},
    ),
}
PROBLEM: dict[str, Any] = {
    "title": "Problem",
    "description": "An error (RFC 9457). Act on `code`, show `detail`. The members after `outcome` depend on the code.",
    "type": "object",
    "required": list(_STANDARD),
    "properties": {**_STANDARD, **_BY_CODE},
}


def problem_examples() -> dict[str, Any]:
    """An example of every code, by code."""
    return {code: {"summary": each.title, "value": _example(code)} for code, each in ERROR_CODES.items()}


def _example(code: str) -> Any:
    own = {
        name: each["examples"][0] for name, each in _BY_CODE.items() if code in each["description"].partition(":")[0]
    }
    return msgspec.json.decode(problem(code, extra=own).body)
