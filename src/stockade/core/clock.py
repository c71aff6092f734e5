"""The wall clock: the date of an order, the end of a reservation. Durations are measured with the monotonic clock."""

import time


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000
