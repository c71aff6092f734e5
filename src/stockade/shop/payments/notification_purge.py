"""Deletes what is remembered of old notifications. Neighbours: `notifications` writes, `bootstrap` repeats it.

A gateway sends a notification again for some days. One that comes later is acted on again, which changes nothing. Those
of every gateway are forgotten, also where none is in use any more.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

from sqlalchemy import Connection, delete, select, tuple_

from stockade.service.jobs import Counts
from stockade.shop.model.tables import gateway_events
from stockade.store import Database
from stockade.store.id_chunks import IDS_AT_ONCE

KEPT_MS: Final = 30 * 24 * 3_600_000
BATCHES: Final = 100  # of one round; the next round goes on
WAIT_S: Final = 5.0


class NotificationPurge:
    """Every process may run it.

    Args:
        database: of the shop.
        wall_clock_ms: gives the wall clock, milliseconds since 1970.
    """

    def __init__(self, database: Database, wall_clock_ms: Callable[[], int]) -> None:
        self._database, self._wall_clock_ms = database, wall_clock_ms

    async def once(self) -> Counts:
        """One round; returns how many were `deleted`."""
        step = partial(_delete, before_ms=self._wall_clock_ms() - KEPT_MS)
        deleted = 0
        for _ in range(BATCHES):
            gone = await self._database.write(step, timeout_s=WAIT_S)
            deleted += gone
            if gone < IDS_AT_ONCE:
                break
        return {"deleted": deleted}


def _delete(conn: Connection, before_ms: int) -> int:
    table = gateway_events
    names = (table.c.gateway, table.c.event_id)
    old = select(*names).where(table.c.received_ms < before_ms).order_by(table.c.received_ms).limit(IDS_AT_ONCE)
    found = sorted(tuple(row) for row in conn.execute(old))
    return conn.execute(delete(table).where(tuple_(*names).in_(found))).rowcount if found else 0
