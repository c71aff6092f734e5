"""A reply of the test gateway, as it is sent and as an idempotency key keeps it."""

from typing import NamedTuple


class Reply(NamedTuple):
    """Its HTTP status and its JSON body."""

    status: int
    body: bytes
