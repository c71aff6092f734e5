"""Expired reservations, for the sweeper: the oldest first, a bounded number at a time."""

from typing import NamedTuple

from sqlalchemy import Connection, bindparam, select, text

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
# Without statistics a planner may take the index by state, and sort every reservation there is.
_INDEX = "ix_orders_reserved_until_ms"
_HINT = f"FORCE INDEX ({_INDEX})"
_SQLITE = text(
    f"SELECT reserved_until_ms, id FROM orders INDEXED BY {_INDEX} WHERE status = 'RESERVED' "  # noqa: S608 - our names
    "AND reserved_until_ms <= :now_ms AND reserved_until_ms >= :after_ms "
    "AND (reserved_until_ms > :after_ms OR id > :id) "
    "ORDER BY reserved_until_ms, id LIMIT :most"
)


def due(conn: Connection, *, now_ms: int, behind: Due = START, limit: int = 100) -> list[Due]:
    """The next reservations that ended at or before `now_ms` (milliseconds since 1970), after the given one."""
    if conn.dialect.name == "sqlite":  # SQLAlchemy has no hints for it
        place = {"now_ms": now_ms, "after_ms": behind.reserved_until_ms, "id": behind.order_id, "most": limit}
        return [Due(*row) for row in conn.execute(_SQLITE, place)]
    statement = (
        select(*_ORDER)
        .where(_RESERVED, orders.c.reserved_until_ms <= now_ms, after(_ORDER, behind))
        .order_by(*_ORDER)
        .limit(limit)
    )
    for dialect in ("mariadb", "mysql"):
        statement = statement.with_hint(orders, _HINT, dialect)
    with in_index_order(conn):
        return [Due(row.reserved_until_ms, row.id) for row in conn.execute(statement)]
