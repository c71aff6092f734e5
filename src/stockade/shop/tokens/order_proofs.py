"""Signs the Location of an order that is queued and not decided yet: proof that this user queued it, and when.

The order has no row yet, so nothing else tells an order that is queued from one that never was. Neighbours:
`of_settings` chooses the secrets, `endpoint` signs and checks.
"""

import base64
import hmac
import re
from collections.abc import Callable, Sequence
from hashlib import sha256

_MILLISECONDS = re.compile(r"[0-9]{1,15}\Z")


class OrderProofs:
    """Signs and checks.

    Args:
        secrets: returns those that are valid now; the first signs, all of them check.
    """

    def __init__(self, secrets: Callable[[], Sequence[bytes]]) -> None:
        self._secrets = secrets

    def sign(self, order_id: str, user_id: str, now_ms: int) -> str:
        """Proof that this user's order was queued at this time (milliseconds since 1970), for its Location."""
        return f"{now_ms}.{_signature(self._secrets()[0], order_id, user_id, now_ms)}"

    def since_ms(self, proof: str, order_id: str, user_id: str) -> int | None:
        """When the order was queued, in milliseconds since 1970; None when the proof is not valid for this order."""
        since, _, signature = proof.partition(".")
        if not _MILLISECONDS.match(since):
            return None
        given, now_ms = signature.encode(), int(since)
        right = [_signature(secret, order_id, user_id, now_ms).encode() for secret in self._secrets()]
        return now_ms if any(hmac.compare_digest(each, given) for each in right) else None


def _signature(secret: bytes, order_id: str, user_id: str, now_ms: int) -> str:
    # the signed part of a token has a dot and no space: neither can be used as the other
    text = f"order {order_id} of {user_id} at {now_ms}".encode()
    return base64.urlsafe_b64encode(hmac.digest(secret, text, sha256)).rstrip(b"=").decode()
