"""Milliseconds since 1970 -> RFC 3339 text, purely, so that a replayed answer is the same byte for byte."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MS = 253_402_300_799_999  # the end of the year 9999, the last that RFC 3339 can write


def rfc3339(at_ms: int) -> str:
    """`1_700_000_000_000` -> `2023-11-14T22:13:20.000Z`.

    Args:
        at_ms: milliseconds since 1970 UTC; what lies outside the years 1970 to 9999 is moved to the nearer end.
    """
    moment = _EPOCH + timedelta(milliseconds=min(max(at_ms, 0), _LAST_MS))
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
