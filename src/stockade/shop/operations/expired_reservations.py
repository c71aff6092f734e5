"""Which reservations the sweeper of the shop ends. `service.sweeper` has the rounds, `service.purge` the purge.

Neighbours: `queries.due` finds orders, `commands.ExpireOrder` decides, `bootstrap` starts and stops the jobs.
"""

from sqlalchemy import Connection

from stockade.core import Command
from stockade.service import Sweep
from stockade.shop.commands import ExpireOrder
from stockade.shop.queries.due import START, Due, due


def expired_reservations(pause_s: float) -> Sweep[Due]:
    """Reserved orders whose reservation has expired; the command ends them.

    Args:
        pause_s: seconds between two rounds.
    """
    return Sweep("sweep", _find, _expire, done="expired", pause_s=pause_s)


def _find(connection: Connection, *, now_ms: int, behind: Due | None, limit: int) -> list[Due]:
    return due(connection, now_ms=now_ms, behind=behind or START, limit=limit)


def _expire(which: Due, now_ms: int) -> Command:
    return ExpireOrder.due(which.order_id, which.reserved_until_ms, now_ms)
