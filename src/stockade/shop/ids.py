"""Ids that derive from what was asked, so that a retry names the same order.

Every id is 128 bits of BLAKE2b (RFC 7693) as 32 hex digits. The parts are hashed as one JSON array, which no two
different lists of parts share.
"""

from hashlib import blake2b

from msgspec import json

_encode = json.Encoder(order="deterministic").encode  # sorted keys: the order of a body's members means nothing


def request_id_of(caller: str, method: str, route: str, idempotency_key: str) -> str:
    """The id under which one request is carried out once.

    Args:
        caller: the user who asks; two users may use the same key.
        method: of HTTP, e.g. `POST`.
        route: the route's template, e.g. `/v1/orders`.
        idempotency_key: as the client sent it.
    """
    return derived_id("request", caller, method, route, idempotency_key)


def fingerprint_of(canonical: object) -> str:
    """A hash of a request's content: the same id with another fingerprint is refused.

    Args:
        canonical: anything JSON can hold (mappings in any order, sequences, structs): the body and the path.

    Raises:
        TypeError: JSON cannot hold it.
    """
    return blake2b(_encode(canonical), digest_size=16).hexdigest()


def derived_id(*parts: str | int) -> str:
    """The id of something the shop does by itself, e.g. `derived_id("expire", order_id, reserved_until_ms)`.

    Args:
        parts: what makes it the same thing; the first names its kind.
    """
    return blake2b(_encode(parts), digest_size=16).hexdigest()
