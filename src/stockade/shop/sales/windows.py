"""Keeps the sums of windows: the present hour comes in by itself, hours that are over are taken out one by one.

A window that is new holds no hour at first. Each step adds its next hour, up to the newest one; from then on every
change of an hour is one of the window too.
"""

from sqlalchemy import Connection, func, insert, select, update

from stockade.shop.model.tables import sales_windows
from stockade.shop.sales.hours import FOREVER_MS, HOUR_MS, KEPT_DAYS, window_start
from stockade.shop.sales.sums import add_hour, next_hour

_WINDOW = select(sales_windows.c.from_ms, sales_windows.c.to_ms)


def keep_windows(connection: Connection, now_ms: int) -> bool:
    """One step of one window, in a transaction that has claimed the progress.

    Args:
        connection: inside the transaction.
        now_ms: the wall clock, milliseconds since 1970.

    Returns:
        Whether there was something to do: then there may be more.
    """
    # `any` ends at the first window that had something to do, so that this is one step and not one of each window
    return any(_keep(connection, days, window_start(now_ms, days)) for days in KEPT_DAYS)


def first_hour(connection: Connection) -> int:
    """When the oldest hour began that a window may still hold, in milliseconds since 1970."""
    found: int | None = connection.execute(select(func.min(sales_windows.c.from_ms))).scalar_one()
    return FOREVER_MS if found is None else found


def _keep(connection: Connection, days: int, start_ms: int) -> bool:
    here = sales_windows.c.days == days
    window = connection.execute(_WINDOW.where(here)).one_or_none()
    if window is None:
        connection.execute(insert(sales_windows), {"days": days, "from_ms": start_ms, "to_ms": start_ms})
        return True
    if window.to_ms < FOREVER_MS:
        hour_ms = next_hour(connection, window.to_ms, FOREVER_MS)
        if hour_ms is not None:
            add_hour(connection, days, hour_ms, 1)
        to_ms = FOREVER_MS if hour_ms is None else hour_ms + HOUR_MS
        connection.execute(update(sales_windows).where(here).values(to_ms=to_ms))
        return True
    if window.from_ms >= start_ms:
        return False
    hour_ms = next_hour(connection, window.from_ms, start_ms)
    if hour_ms is not None:
        add_hour(connection, days, hour_ms, -1)
    from_ms = start_ms if hour_ms is None else hour_ms + HOUR_MS
    connection.execute(update(sales_windows).where(here).values(from_ms=from_ms))
    return True
