"""Ids of requests. The id of a request that can be retried is derived from the request, so a retry names the same
order.

An id is 32 hex digits: 128 bits of BLAKE2b (RFC 7693) over the parts as one JSON array, which no two different lists
of parts share. A time that the key carries takes the place of the first 48 (docs/adr/0012).
"""

import re
from hashlib import blake2b
from secrets import token_hex

from msgspec import json

_encode = json.Encoder(order="deterministic").encode  # sorted keys: the order of a body's members has no meaning
_version_7 = re.compile(
    r"([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE
).fullmatch

TIME_DIGITS = 12  # 48 bits: milliseconds since 1970, as in a version-7 UUID


def request_id_of(caller: str, method: str, route: str, idempotency_key: str) -> str:
    """The id under which one request is carried out once.

    Args:
        caller: the user; two users may use the same key.
        method: of HTTP, e.g. `POST`.
        route: the route's template, e.g. `/v1/orders`.
        idempotency_key: as the client sent it. Of a version-7 UUID (RFC 9562) the time becomes the beginning of the id;
            the other 80 bits are of the hash of everything, so choosing a time does not hit another caller's id.
    """
    id_ = derived_id("request", caller, method, route, idempotency_key)
    timed = _version_7(idempotency_key)
    return id_ if timed is None else (timed[1] + timed[2]).lower() + id_[TIME_DIGITS:]


def new_request_id(now_ms: int) -> str:
    """The id of a request that is never retried: its time and 80 random bits.

    Args:
        now_ms: wall clock in milliseconds since 1970.
    """
    return f"{now_ms:012x}{token_hex(10)}"


def fingerprint_of(canonical: object) -> str:
    """A hash of a request's content: the same id with another fingerprint is refused.

    Args:
        canonical: anything JSON can hold (mappings in any order, sequences, structs): the body and the path.

    Raises:
        TypeError: JSON cannot hold it.
    """
    return blake2b(_encode(canonical), digest_size=16).hexdigest()


def derived_id(*parts: str | int) -> str:
    """The id of a request that follows from its parts, e.g. `derived_id("expire", order_id, reserved_until_ms)`.

    Args:
        parts: identify the request; the first names its kind.
    """
    return blake2b(_encode(parts), digest_size=16).hexdigest()
