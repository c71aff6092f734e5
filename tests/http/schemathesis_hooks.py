"""What schemathesis cannot know about the API, applied before each request.

Valid requests get a key of their own (the same key with another body is refused, as it must be), whole numbers as JSON
integers (JSON Schema counts 1.0 as one), printable texts, distinct lines of SKUs that exist, and no invented cursor:
limits that the document states in words. Wrong requests are sent as they were made.
"""

from itertools import count

import schemathesis

NUMBERS = count()
DEMO_SKUS = 10  # as `stockade demo` makes them


def plain(value):
    """1.0 -> 1, and no characters that cannot be printed, at any depth."""
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, str):
        return "".join(character if character.isprintable() else "?" for character in value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    case.body = plain(case.body)
    case.query = plain(dict(case.query or {}))
    case.query.pop("cursor", None)
    if "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = f"valid-{next(NUMBERS)}"
    if case.query.get("status") == "REJECTED":
        case.query.pop("product_id", None)
    if case.operation.label == "PUT /v1/products/{product_id}":
        case.body["skus"] = case.body["skus"][:1]
    if case.operation.label == "POST /v1/orders/{order_id}/payments" and case.body["method"] == "POINTS":
        case.body = {"method": "POINTS"}
    if case.operation.label in ("POST /v1/orders", "POST /v1/orders/{order_id}/lines/cancel"):
        for number, line in enumerate(case.body["lines"], 1):
            line["sku_id"] = f"sku-{number}" if number <= DEMO_SKUS else f"none-{number}"
