"""Whole hours, and the windows of popular products that consist of them."""

from typing import Any, Final

from sqlalchemy import ColumnElement

HOUR_MS: Final = 3_600_000
FOREVER_MS: Final = 2**62  # after every hour
MAX_DAYS: Final = 30
KEPT_DAYS: Final = (1, 3, 7, 14, 30)  # windows whose sums are kept; others are summed over their hours
KEPT_HOURS: Final = 24 * MAX_DAYS + 12  # whose sums are kept: the longest window, and more, because clocks may differ


def hour_of(at_ms: int) -> int:
    """When the hour of a time began, in milliseconds since 1970."""
    return at_ms - at_ms % HOUR_MS


def hour_of_column(column: ColumnElement[int]) -> ColumnElement[Any]:
    """The same in SQL, for times that are not negative."""
    return column - column % HOUR_MS


def window_start(now_ms: int, days: int) -> int:
    """When a window began: it has 24 hours for each day, and the last of them is the present one."""
    return hour_of(now_ms) - (24 * days - 1) * HOUR_MS


def oldest_kept(now_ms: int) -> int:
    """When the oldest hour began whose sums are kept."""
    return hour_of(now_ms) - (KEPT_HOURS - 1) * HOUR_MS
