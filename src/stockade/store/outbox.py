"""The outbox as relays see it: lease a partition, read its oldest events, record what the sink did with them.

The transaction of a command inserts its events, each with the partition of its key. A relay leases one partition at a
time, so one relay sends the events of a key, in order. A relay takes a partition over when its `beat`, the generation
of the lease, has not changed for `ttl_s` of that relay's own monotonic clock: no two clocks are compared. The lease
only saves work: two relays on one partition send duplicates, each in order.
Neighbours: `service.relay` sends. Source: transactional outbox (Richardson, "Microservices Patterns", 2018, 3.3.7).
"""

import time
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, NamedTuple
from uuid import uuid4

from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    Update,
    and_,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    select,
    update,
)

from stockade.store.engine.database import Database
from stockade.store.engine.insert_race import repeat_if_taken
from stockade.store.index_order import in_index_order
from stockade.store.schema.tables import StoreTables
from stockade.store.transaction.outbox_events import OUTBOX_PARTITIONS

NEW, CONFIRMED, DEAD = "NEW", "CONFIRMED", "DEAD"
PURGED = "outbox.purged"  # name of the watermark before which confirmed events may be deleted
MAX_ERROR = 200
MAX_COUNTED = 100_000
READ_TRIES = 4  # queries that skip keys whose oldest event waits for another try


class OutboxEvent(NamedTuple):
    """An event that is not confirmed yet.

    Attributes:
        id: number in the outbox; it grows with the versions of the event's key.
        request_id: of the command that made it.
        seq: number of the event among those of the command.
        kind: e.g. `order.placed`.
        key: events of one key are sent in order.
        body: JSON.
        created_ms: time of the command, milliseconds since 1970.
        attempts: how often the sink refused it before.
    """

    id: int
    request_id: str
    seq: int
    kind: str
    key: str
    body: bytes
    created_ms: int
    attempts: int = 0

    @property
    def event_id(self) -> str:
        """The same for every delivery of this event; consumers recognise duplicates by it."""
        return f"{self.request_id}:{self.seq}"


class RefusedEvent(NamedTuple):
    """An event that the sink refused: the next try is at `next_ms` (milliseconds since 1970), or never if `dead`."""

    id: int
    reason: str
    next_ms: int
    dead: bool


class LeasedPartition(NamedTuple):
    """A partition that this relay has leased, and its oldest events that are due, in order."""

    partition: int
    generation: int
    events: tuple[OutboxEvent, ...]


class DeliveryReport(NamedTuple):
    """What the sink did with the events of a partition; events in neither list are sent again."""

    leased: LeasedPartition
    confirmed: tuple[int, ...] = ()
    refused: tuple[RefusedEvent, ...] = ()


class Lag(NamedTuple):
    """How far the relays are behind.

    Attributes:
        waiting: events that are not confirmed and not dead.
        oldest_ms: time of the oldest of them, None when there is none.
        dead: dead letters.
    """

    waiting: int
    oldest_ms: int | None
    dead: int


class Outbox:
    """One relay's access to the outbox.

    Args:
        database: where it is.
        ttl_s: how long a lease stays valid when its generation does not change, in seconds.
        wait_s: the longest that one transaction may take, in seconds.
        clock: monotonic, in seconds.
    """

    def __init__(
        self,
        database: Database,
        *,
        ttl_s: float = 10.0,
        wait_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.owner = uuid4().hex
        self._database = database
        self._events, self._partitions = database.tables.outbox, database.tables.relay_partitions
        self._columns = tuple(self._events.c[name] for name in OutboxEvent._fields)
        self._new, self._dead = (_in_state(self._events, state) for state in (NEW, DEAD))
        self._ttl_s = ttl_s
        self._wait_s = wait_s
        self._clock = clock
        self._seen: dict[int, tuple[int, float]] = {}  # partition -> its generation, and when this relay saw it first
        self._last = OUTBOX_PARTITIONS - 1

    async def open(self) -> None:
        """Insert the rows of the partitions that do not exist yet."""
        missing = partial(_insert_partitions, table=self._partitions)
        await repeat_if_taken(lambda: self._database.write(missing, timeout_s=self._wait_s))

    async def exchange(self, report: DeliveryReport | None, limit: int, now_ms: int) -> LeasedPartition | None:
        """Record a report and end its lease, then lease the next partition: one transaction.

        Args:
            report: of the partition leased before; None at the start.
            limit: the most events to read; 0 leases nothing.
            now_ms: the wall clock, for events that wait for another try.

        Returns:
            A partition with the events that are due (none, if all of them wait for another try), or None when no free
            partition has events.
        """
        return await self._database.write(lambda c: self._exchange(c, report, limit, now_ms), timeout_s=self._wait_s)

    def _exchange(
        self, connection: Connection, report: DeliveryReport | None, limit: int, now_ms: int
    ) -> LeasedPartition | None:
        if report is not None:
            self._record(connection, report)
        return self._lease(connection, limit, now_ms) if limit else None

    def _record(self, connection: Connection, report: DeliveryReport) -> None:
        # The report counts even when another relay has leased the partition meanwhile: the sink has these events.
        # An event that has a final state keeps it.
        if report.confirmed:
            ids = sorted(report.confirmed)
            connection.execute(self._by_id(self._events.c.id.in_(ids)).values(state=CONFIRMED, error=""))
        for each in sorted(report.refused):
            values = {
                "state": DEAD if each.dead else NEW,
                "attempts": self._events.c.attempts + 1,
                "next_ms": each.next_ms,
                "error": each.reason[:MAX_ERROR],
            }
            connection.execute(self._by_id(self._events.c.id == each.id).values(values))
        leased = self._row(report.leased.partition, report.leased.generation)
        connection.execute(update(self._partitions).where(leased).values(owner="", beat=report.leased.generation + 1))

    def _lease(self, connection: Connection, limit: int, now_ms: int) -> LeasedPartition | None:
        """The next partition, after the last leased one, that is free or whose lease is over."""
        # A scalar subquery with a limit looks up one event of each partition; some planners turn EXISTS into a join
        # with all events.
        partitions = self._partitions.c
        same = self._events.c.part == partitions.part
        first = select(self._events.c.id).where(self._new, same).limit(1).scalar_subquery()
        columns = (partitions.part, partitions.owner, partitions.beat)
        found = connection.execute(select(*columns).where(first.is_not(None)).order_by(partitions.part)).all()
        for partition, owner, generation in sorted(
            found, key=lambda row: (row.part - self._last - 1) % OUTBOX_PARTITIONS
        ):
            if owner and not self._is_over(partition, generation):
                continue
            free = self._row(partition, generation)
            # SKIP LOCKED: a relay never waits for a partition, so two relays cannot wait for each other
            locked = select(partitions.part).where(free).with_for_update(skip_locked=True)
            if connection.execute(locked).first():
                connection.execute(update(self._partitions).where(free).values(owner=self.owner, beat=generation + 1))
                self._last = partition
                return LeasedPartition(partition, generation + 1, self._due(connection, partition, limit, now_ms))
        return None

    def _is_over(self, partition: int, generation: int) -> bool:
        """Whether another relay's lease has not changed for `ttl_s`."""
        now = self._clock()
        known, since = self._seen.get(partition, (-1, now))
        if known != generation:
            self._seen[partition] = generation, now
            return False
        return now - since >= self._ttl_s

    def _due(self, connection: Connection, partition: int, limit: int, now_ms: int) -> tuple[OutboxEvent, ...]:
        """The oldest events, without those behind an event of the same key that waits for another try."""
        column = self._events.c
        events: list[OutboxEvent] = []
        waiting: set[str] = set()
        behind = 0
        for _ in range(READ_TRIES):
            wanted = and_(self._new, column.part == partition, column.id > behind)
            if waiting:
                wanted = and_(wanted, column.key.not_in(sorted(waiting)))
            query = select(column.next_ms, *self._columns).where(wanted).order_by(column.id).limit(limit - len(events))
            rows = connection.execute(query).all()
            for next_ms, *values in rows:
                event = OutboxEvent(*values)
                behind = event.id
                if next_ms > now_ms:
                    waiting.add(event.key)
                elif event.key not in waiting:
                    events.append(event._replace(body=bytes(event.body)))
            if len(events) == limit or len(rows) == 0:
                break
        return tuple(events)

    async def lag(self, most: int = MAX_COUNTED) -> Lag:
        """How far the relays are behind; reads only events that wait or are dead.

        Args:
            most: the most events of each kind to read; where there are more, the count is `most` and the oldest is one
                of those that were read.
        """
        new, dead_ = (
            select(self._events.c.created_ms).where(each).limit(most).subquery() for each in (self._new, self._dead)
        )
        how_many, oldest = func.count(), func.min(new.c.created_ms)

        def body(connection: Connection) -> Lag:
            waiting, oldest_ms = connection.execute(select(how_many, oldest).select_from(new)).one()
            dead = connection.execute(select(how_many).select_from(dead_)).scalar_one()
            return Lag(waiting, oldest_ms, dead)

        return await self._database.read(body)

    async def dead(self, limit: int = 100) -> list[tuple[OutboxEvent, str]]:
        """The oldest dead letters, each with the reason of its last refusal.

        The index has them by partition: the oldest of each are read, so a million dead letters cost no more than a few.
        """
        column = self._events.c
        query = select(column.error, *self._columns).where(self._dead, column.part == bindparam("partition"))
        query = query.order_by(column.id).limit(limit)

        def body(connection: Connection) -> list[Any]:
            with in_index_order(connection):
                partitions = range(OUTBOX_PARTITIONS)
                found = [row for each in partitions for row in connection.execute(query, {"partition": each})]
            return sorted(found, key=lambda row: row.id)[:limit]

        rows = await self._database.read(body)
        return [(OutboxEvent(*values)._replace(body=bytes(values[5])), error) for error, *values in rows]

    async def requeue(self, ids: Collection[int]) -> int:
        """Send dead letters again, after events of their key that were sent meanwhile; returns how many."""
        again = update(self._events).where(self._events.c.id.in_(sorted(ids)), self._dead)
        again = again.values(state=NEW, attempts=0, next_ms=0)
        return await self._database.write(lambda c: c.execute(again).rowcount, timeout_s=self._wait_s)

    async def purge(
        self, before_ms: int, batch: int = 1_000, max_batches: int = 100, *, before_id: int | None = None
    ) -> int:
        """Delete confirmed events made before `before_ms`, oldest first; returns how many.

        Args:
            before_ms: milliseconds since 1970.
            batch: the most events that one transaction reads.
            max_batches: the most transactions.
            before_id: events from this id on stay, because a reader has yet to read them; None: no reader has.

        The transaction that deletes the first of them raises the watermark, so the audit never reports a purged event
        as lost.
        """
        deleted = behind = 0
        for _ in range(max_batches):
            count, behind, more = await self._database.write(
                partial(
                    _purge,
                    tables=self._database.tables,
                    before_ms=before_ms,
                    before_id=before_id,
                    behind=behind,
                    batch=batch,
                ),
                timeout_s=self._wait_s,
            )
            deleted += count
            if not more:
                break
        return deleted

    def _by_id(self, which: ColumnElement[bool]) -> Update:
        """An update of waiting events by id. InnoDB locks every row that it reads, so it must read by the primary
        key."""
        statement = update(self._events).where(which, self._new)
        for name in ("mysql", "mariadb"):
            statement = statement.with_hint("FORCE INDEX (PRIMARY)", dialect_name=name)
        return statement

    def _row(self, partition: int, generation: int) -> ColumnElement[bool]:
        """The row of a partition, if its lease has not changed hands since."""
        return and_(self._partitions.c.part == partition, self._partitions.c.beat == generation)


def _in_state(outbox: Table, state: str) -> ColumnElement[bool]:
    """Both conditions as literals: SQLite uses a partial index only where the query repeats the condition of the
    index."""
    return and_(outbox.c.state == literal_column(f"'{state}'"), outbox.c.state != literal_column(f"'{CONFIRMED}'"))


def _insert_partitions(connection: Connection, table: Table) -> None:
    known = set(connection.execute(select(table.c.part)).scalars())
    rows = [{"part": each, "owner": "", "beat": 0} for each in range(OUTBOX_PARTITIONS) if each not in known]
    if rows:
        connection.execute(insert(table), rows)


def _purge(
    connection: Connection, *, tables: StoreTables, before_ms: int, before_id: int | None, behind: int, batch: int
) -> tuple[int, int, bool]:
    """One batch: rows deleted, the last id that was read, and whether there may be more."""
    outbox = tables.outbox
    query = select(outbox.c.id, outbox.c.state, outbox.c.created_ms).where(outbox.c.id > behind)
    if before_id is not None:
        query = query.where(outbox.c.id < before_id)
    rows = connection.execute(query.order_by(outbox.c.id).limit(batch)).all()
    old = [row for row in rows if row.created_ms < before_ms]
    ids = [row.id for row in old if row.state == CONFIRMED]
    if ids:
        _raise_watermark(connection, tables.watermarks, before_ms)
        connection.execute(delete(outbox).where(outbox.c.id.in_(ids)))
    # ids follow time, except for clocks that differ and long transactions: the first batch with a young event is the
    # last
    return len(ids), rows[-1].id if rows else behind, len(old) == len(rows) == batch


def _raise_watermark(connection: Connection, watermarks: Table, at_ms: int) -> None:
    here = watermarks.c.name == PURGED
    found: ColumnElement[int] = watermarks.c.at_ms
    known = connection.execute(select(found).where(here).with_for_update()).scalar()
    row: Mapping[str, Any] = {"name": PURGED, "at_ms": at_ms}
    if known is None:
        connection.execute(insert(watermarks), row)
    elif known < at_ms:
        connection.execute(update(watermarks).where(here).values(at_ms=at_ms))
