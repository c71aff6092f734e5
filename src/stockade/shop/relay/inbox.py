"""The consumer's half of exactly once: deal with an event in the transaction that remembers its id.

The relay and every log deliver at least once. A consumer that notes the id in the same transaction as the effect has
the effect once: both commit, or neither. Neighbours: `relay` on the other end; `store.tables.inbox` is the table.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, and_, delete, insert, select

from stockade.store.schema.tables import inbox

FORGOTTEN_AT_ONCE = 1_000  # what one transaction removes


class Inbox:
    """What one consumer has dealt with.

    Args:
        consumer: its name; two consumers of one database deal with every event once each.
    """

    def __init__(self, consumer: str) -> None:
        self._consumer = consumer

    def fresh(self, connection: Connection, event_ids: Sequence[str], now_ms: int) -> list[str]:
        """The ids that this consumer has not dealt with, noted as dealt with; in the order given, each once.

        Call it first in the transaction of the effect. Two processes with the same event meet on the primary key: the
        later one waits, then fails with a unique violation, and finds it noted when it tries again.

        Args:
            connection: inside the transaction that has the effect.
            event_ids: of the events at hand.
            now_ms: the wall clock, for `forget`.
        """
        asked = list(dict.fromkeys(event_ids))
        mine = and_(inbox.c.consumer == self._consumer, inbox.c.event_id.in_(asked))
        known = set(connection.execute(select(inbox.c.event_id).where(mine)).scalars())
        new = [id_ for id_ in asked if id_ not in known]
        if new:
            rows = [{"consumer": self._consumer, "event_id": id_, "at_ms": now_ms} for id_ in sorted(new)]
            connection.execute(insert(inbox), rows)
        return new

    def forget(self, connection: Connection, before_ms: int, limit: int = FORGOTTEN_AT_ONCE) -> int:
        """Forget events dealt with before `before_ms`: longer ago than anybody sends again; the oldest first.

        Args:
            connection: inside a transaction of its own: short ones, again until nothing was forgotten.
            before_ms: milliseconds since 1970.
            limit: events at most.

        Returns:
            How many were forgotten.
        """
        old = and_(inbox.c.consumer == self._consumer, inbox.c.at_ms < before_ms)
        asked = select(inbox.c.event_id).where(old).order_by(inbox.c.at_ms).limit(limit)
        ids = sorted(connection.execute(asked).scalars())
        if not ids:
            return 0
        mine = and_(inbox.c.consumer == self._consumer, inbox.c.event_id.in_(ids))
        return connection.execute(delete(inbox).where(mine)).rowcount
