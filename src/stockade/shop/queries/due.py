"""Expired reservations, for the sweeper: the oldest first, a bounded number at a time."""

from typing import NamedTuple

from sqlalchemy import Connection, bindparam, select

from stockade.shop.model import constants
from stockade.shop.model.tables import orders
from stockade.shop.queries.page import after
from stockade.store.index_order import in_index_order


class Due(NamedTuple):
    """A reserved order that has expired; its fields are its sort key, from which the next query goes on."""

    reserved_until_ms: int
    order_id: str


# Before every reservation, and after 0 (no reservation): in an index of all orders, most orders have 0.
START = Due(1, "")
_ORDER = (orders.c.reserved_until_ms, orders.c.id)
# The state is a literal: no planner can match a parameter with the condition of a partial index.
_RESERVED = orders.c.status == bindparam("status", constants.RESERVED, literal_execute=True)


def due(conn: Connection, *, now_ms: int, behind: Due = START, limit: int = 100) -> list[Due]:
    """The next reservations that ended at or before `now_ms` (milliseconds since 1970), after the given one."""
    statement = (
        select(*_ORDER)
        .where(_RESERVED, orders.c.reserved_until_ms <= now_ms, after(_ORDER, behind))
        .order_by(*_ORDER)
        .limit(limit)
    )
    with in_index_order(conn):
        return [Due(row.reserved_until_ms, row.id) for row in conn.execute(statement)]
