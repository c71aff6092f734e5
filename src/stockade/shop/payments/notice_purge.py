"""Deletes what is remembered of old notices of the gateway. Neighbours: `notifications` writes, `bootstrap` repeats it.

A gateway sends a notice again for some days. One that comes later is acted on again, which changes nothing.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

from sqlalchemy import Connection, delete, select

from stockade.service.jobs import Counts
from stockade.shop.model.tables import gateway_events
from stockade.store import Database
from stockade.store.id_chunks import IDS_AT_ONCE

KEPT_MS: Final = 30 * 24 * 3_600_000
BATCHES: Final = 100  # of one round; the next round goes on
WAIT_S: Final = 5.0


class NoticePurge:
    """Every process may run it.

    Args:
        database: of the shop.
        gateway: whose notices.
        wall_clock_ms: gives the wall clock, milliseconds since 1970.
    """

    def __init__(self, database: Database, gateway: str, wall_clock_ms: Callable[[], int]) -> None:
        self._database, self._gateway, self._wall_clock_ms = database, gateway, wall_clock_ms

    async def once(self) -> Counts:
        """One round; returns how many were `deleted`."""
        step = partial(_delete, gateway=self._gateway, before_ms=self._wall_clock_ms() - KEPT_MS)
        deleted = 0
        for _ in range(BATCHES):
            gone = await self._database.write(step, timeout_s=WAIT_S)
            deleted += gone
            if gone < IDS_AT_ONCE:
                break
        return {"deleted": deleted}


def _delete(conn: Connection, gateway: str, before_ms: int) -> int:
    table = gateway_events
    old = select(table.c.event_id).where(table.c.gateway == gateway, table.c.received_ms < before_ms)
    ids = sorted(conn.execute(old.order_by(table.c.received_ms).limit(IDS_AT_ONCE)).scalars())
    if not ids:
        return 0
    return conn.execute(delete(table).where(table.c.gateway == gateway, table.c.event_id.in_(ids))).rowcount
