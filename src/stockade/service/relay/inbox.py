"""The consumer's half of exactly-once processing: record the id of an event in the transaction of its effect.

The relay and every log deliver at least once. If the id and the effect are in one transaction, both commit or neither
does, so the effect happens once. Neighbours: `relay` sends; the table is `inbox` in `store/schema/tables.py`.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, and_, delete, insert, select

from stockade.store.schema.tables import DEFAULT, StoreTables

FORGOTTEN_AT_ONCE = 1_000  # rows that one transaction deletes


class Inbox:
    """The events that one consumer has processed.

    Args:
        consumer: its name; each consumer of one database processes every event once.
        tables: the store's tables in that database.
    """

    def __init__(self, consumer: str, tables: StoreTables = DEFAULT) -> None:
        self._consumer = consumer
        self._table = tables.inbox

    def fresh(self, connection: Connection, event_ids: Sequence[str], now_ms: int) -> list[str]:
        """Record events as processed, and return the ids that were not recorded before: each once, in the given order.

        Call it first in the transaction of the effect. If two processes record the same event, the later one waits at
        the primary key, fails with a unique violation, and finds the event recorded when it tries again.

        Args:
            connection: inside the transaction that has the effect.
            event_ids: of the events to process.
            now_ms: the wall clock, milliseconds since 1970, for `forget`.
        """
        ids = list(dict.fromkeys(event_ids))
        mine = and_(self._table.c.consumer == self._consumer, self._table.c.event_id.in_(ids))
        known = set(connection.execute(select(self._table.c.event_id).where(mine)).scalars())
        new = [id_ for id_ in ids if id_ not in known]
        if new:
            rows = [{"consumer": self._consumer, "event_id": id_, "at_ms": now_ms} for id_ in sorted(new)]
            connection.execute(insert(self._table), rows)
        return new

    def forget(self, connection: Connection, before_ms: int, limit: int = FORGOTTEN_AT_ONCE) -> int:
        """Delete records of events processed before `before_ms`, the oldest first.

        Choose a time that is longer ago than any sender repeats an event.

        Args:
            connection: inside a transaction of its own; repeat short ones until it returns 0.
            before_ms: milliseconds since 1970.
            limit: the most records to delete.

        Returns:
            How many were deleted.
        """
        old = and_(self._table.c.consumer == self._consumer, self._table.c.at_ms < before_ms)
        oldest = select(self._table.c.event_id).where(old).order_by(self._table.c.at_ms).limit(limit)
        ids = sorted(connection.execute(oldest).scalars())
        if not ids:
            return 0
        mine = and_(self._table.c.consumer == self._consumer, self._table.c.event_id.in_(ids))
        return connection.execute(delete(self._table).where(mine)).rowcount
