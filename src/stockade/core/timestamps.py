"""Milliseconds since 1970 -> RFC 3339 text, purely, so that a replayed answer is the same byte for byte."""

from datetime import datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  counted and written in UTC, and never compared with a clock
_LAST_MS = 253_402_300_799_999  # the end of the year 9999, the last that RFC 3339 can write


def rfc3339(at_ms: int) -> str:
    """`1_700_000_000_000` -> `2023-11-14T22:13:20.000Z`.

    Args:
        at_ms: milliseconds since 1970 UTC; what lies outside the years 1970 to 9999 is moved to the nearer end.
    """
    seconds, ms = divmod(min(max(at_ms, 0), _LAST_MS), 1000)
    return f"{_second(seconds)}.{ms:03d}Z"


@lru_cache(maxsize=256)
def _second(seconds: int) -> str:
    """Orders of one batch end their reservations within the same second."""
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()
