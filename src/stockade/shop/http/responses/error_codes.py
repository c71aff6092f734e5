"""Every error code of the API: its status, its title, and whether the same request may be sent again.

Problem bodies, the OpenAPI document and `docs/api.md` are made from this table, or tested against it.
"""

from typing import NamedTuple


class ErrorCode(NamedTuple):
    """What an error code means over HTTP.

    Attributes:
        status: the HTTP status.
        title: one short sentence, the same for every occurrence (RFC 9457, 3.1.3).
        retryable: whether the same request, with the same key, may be sent again.
        outcome: what is known about the effect: "none" or "unknown".
        stored: whether the response is recorded and returned again for the same Idempotency-Key.
    """

    status: int
    title: str
    retryable: bool = False
    outcome: str = "none"
    stored: bool = False


ERROR_CODES: dict[str, ErrorCode] = {
    "INVALID_REQUEST": ErrorCode(400, "The request is malformed or outside its limits"),
    "IDEMPOTENCY_KEY_MISSING": ErrorCode(400, "This route needs an Idempotency-Key header"),
    "IDEMPOTENCY_KEY_INVALID": ErrorCode(400, "The Idempotency-Key header cannot be read"),
    "UNAUTHENTICATED": ErrorCode(401, "A valid bearer token is needed"),
    "BAD_SIGNATURE": ErrorCode(401, "The notification is not from the payment gateway, or too old"),
    "PAYMENT_DECLINED": ErrorCode(402, "The payment was declined, and nothing was charged", stored=True),
    "FORBIDDEN": ErrorCode(403, "This caller may not do this"),
    "NOT_FOUND": ErrorCode(404, "There is no such route"),
    "CHARGE_NOT_FOUND": ErrorCode(404, "There is no such charge", stored=True),
    "GATEWAY_NOT_FOUND": ErrorCode(404, "The service uses no such payment gateway"),
    "ORDER_NOT_FOUND": ErrorCode(404, "There is no such order", stored=True),
    "PAYMENT_NOT_FOUND": ErrorCode(404, "There is no such payment", stored=True),
    "POINT_ACCOUNT_NOT_FOUND": ErrorCode(404, "There is no such points account", stored=True),
    "PRODUCT_NOT_FOUND": ErrorCode(404, "There is no such product", stored=True),
    "SKU_NOT_FOUND": ErrorCode(404, "There is no such SKU", stored=True),
    "METHOD_NOT_ALLOWED": ErrorCode(405, "This route does not know the method"),
    "HEADER_TIMEOUT": ErrorCode(408, "The request headers did not arrive in time", retryable=True),
    "BODY_TIMEOUT": ErrorCode(408, "The request body did not arrive in time", retryable=True),
    "ALREADY_PAID": ErrorCode(409, "It is paid already", stored=True),
    "CONFLICT_RETRY": ErrorCode(409, "Other writers won every attempt; send the request again", retryable=True),
    "IDEMPOTENCY_IN_PROGRESS": ErrorCode(409, "A request with this key is still at work", retryable=True),
    "INSUFFICIENT_POINTS": ErrorCode(409, "The points do not suffice", stored=True),
    "LIMIT_EXCEEDED": ErrorCode(409, "A limit would be exceeded", stored=True),
    "NOT_ON_SALE": ErrorCode(409, "The product is not on sale", stored=True),
    "OUT_OF_STOCK": ErrorCode(409, "The stock does not suffice", stored=True),
    "PAYMENT_IN_PROGRESS": ErrorCode(409, "A payment of this is under way already", stored=True),
    "PAYMENT_UNFULFILLABLE": ErrorCode(
        409, "The payment was approved but cannot be used, and is refunded", outcome="none", stored=True
    ),
    "PRICE_CHANGED": ErrorCode(409, "The order costs another total than expected", stored=True),
    "PRODUCT_CONFLICT": ErrorCode(409, "There is such a product already", stored=True),
    "RESERVATION_EXPIRED": ErrorCode(409, "The reservation has expired", stored=True),
    "STATE_CONFLICT": ErrorCode(409, "The present state forbids this", stored=True),
    "VERSION_CONFLICT": ErrorCode(409, "The product was edited meanwhile", stored=True),
    "BODY_TOO_LARGE": ErrorCode(413, "The request body is too large"),
    "UNSUPPORTED_MEDIA_TYPE": ErrorCode(415, "The request body must be application/json"),
    "AMOUNT_MISMATCH": ErrorCode(422, "The amount is not the one that is owed", stored=True),
    "IDEMPOTENCY_KEY_REUSED": ErrorCode(422, "This Idempotency-Key was used with another request"),
    "TOO_MANY_REQUESTS": ErrorCode(429, "Too much is waiting already", retryable=True),
    "HEADERS_TOO_LARGE": ErrorCode(431, "The request line and the headers are too large"),
    "INTERNAL_ERROR": ErrorCode(500, "Something went wrong on the server", retryable=True, outcome="unknown"),
    "DEPENDENCY_DOWN": ErrorCode(503, "Something that the service needs cannot be reached", retryable=True),
    "LOCK_LOST": ErrorCode(503, "The lock ended before the work did", retryable=True, outcome="unknown"),
    "LOCK_TIMEOUT": ErrorCode(503, "The wait for the lock took too long", retryable=True),
    "NOT_READY": ErrorCode(503, "The service is not ready, or is stopping", retryable=True),
    "POOL_EXHAUSTED": ErrorCode(503, "The wait for a database connection took too long", retryable=True),
    "TOO_MANY_CONNECTIONS": ErrorCode(503, "The process has too many connections", retryable=True),
    "OUTCOME_UNKNOWN": ErrorCode(504, "Whether it happened is not known; send the same key again", True, "unknown"),
}
"""All codes. A `stored` code is a decision: recorded with its request, and replayed."""
