"""An order that reserves its unit, by hand on the raw driver: it changes no account and pays nothing.

It writes exactly the rows that our PlaceOrder writes for `pay` LATER. Neighbour: `baselines` has the orders that are
paid at once.
"""

from typing import Any

from benchmarks.baselines import ADD_EVENT, ADD_LINE, ADD_REQUEST, EMPTY_CART, KNOWN, LOCKED, PART, READ_SKU
from benchmarks.target import FINGERPRINT, HOT, Buy
from stockade.core import Accepted, JsonValue
from stockade.core.timestamps import rfc3339
from stockade.shop.model import constants
from stockade.store.outcome_codec import encode_body, encode_outcome

RESERVE_MS = 600_000  # as PlaceOrder's default
TAKE = "UPDATE skus SET reserved = $2, version = $3, stamp = $4 WHERE id = $1"
ADD_ORDER = (
    "INSERT INTO orders (id, user_id, status, total, pay, reserved_until_ms, payment_id, reason, created_ms, version, "
    "stamp) VALUES ($1, $2, 'RESERVED', $3, 'LATER', $4, '', '', $5, 1, $5)"
)
ADD_HELD = (
    "INSERT INTO ledger (kind, row_id, request_id, version, delta, held, amount_after, held_after, note, ref, at_ms) "
    "VALUES ('stock', $1, $2, $3, 0, 1, $4, $5, $6, $2, $7)"
)


async def reserve(connection: Any, buy: Buy) -> bool:
    """Look the request up, lock the product, write the order."""
    if await connection.fetchrow(KNOWN, buy.request_id):
        return True
    product_id, price, on_hand, reserved, version = await connection.fetchrow(READ_SKU + LOCKED, HOT)
    if on_hand - reserved < 1:
        return False
    request_id, user_id, now_ms = buy
    until_ms = now_ms + RESERVE_MS
    await connection.execute(TAKE, HOT, reserved + 1, version + 1, now_ms)
    line: dict[str, JsonValue] = {"sku_id": HOT, "product_id": product_id, "quantity": 1, "price": price}
    data: dict[str, JsonValue] = {
        "order_id": request_id,
        "status": constants.RESERVED,
        "total": price,
        "lines": [line],
        "reserved_until": rfc3339(until_ms),
    }
    outcome = encode_outcome(Accepted(data, {f"stock:{HOT}": version + 1}))
    body = encode_body({"user_id": user_id, "pay": constants.LATER, **data})
    await connection.execute(ADD_REQUEST, request_id, FINGERPRINT, outcome, now_ms)
    await connection.execute(ADD_EVENT, request_id, constants.ORDER_PLACED, f"stock:{HOT}", body, now_ms, PART)
    await connection.execute(ADD_ORDER, request_id, user_id, price, until_ms, now_ms)
    await connection.execute(ADD_LINE, request_id, HOT, product_id, price)
    await connection.execute(EMPTY_CART, user_id, HOT)
    entry = (HOT, request_id, version + 1, on_hand, reserved + 1, constants.RESERVE, now_ms)
    await connection.execute(ADD_HELD, *entry)
    return True
