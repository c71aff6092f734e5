"""What gateways reported by themselves: each event has one row, written after it was acted on.

Neighbour: `payments.notifications`. The table is no protected row: a row says that nothing more need be done.
"""

from sqlalchemy import Connection, bindparam, select

from stockade.shop.model.tables import gateway_events

_ONE = select(gateway_events.c.event_id).where(
    gateway_events.c.gateway == bindparam("gateway"), gateway_events.c.event_id == bindparam("event_id")
)


def was_taken(conn: Connection, gateway: str, event_id: str) -> bool:
    """Whether an event was acted on.

    Args:
        conn: a connection to read on.
        gateway: its name.
        event_id: at most 200 characters.
    """
    return conn.execute(_ONE, {"gateway": gateway, "event_id": event_id}).first() is not None
