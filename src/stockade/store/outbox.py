"""The outbox as relays see it: take a part, read its oldest events, write down what became of them.

An event is written by the transaction that it tells of (`fold`), with the part of its key. A relay takes one part at a
time, so events of one key are sent by one relay and in order; a part whose holder does not come back is taken over. The
takeover goes by what this relay itself saw and when (`beat` unchanged for `ttl_s` of its own monotonic clock), so no
two clocks are compared. Nothing rests on it but efficiency: two relays on one part send duplicates, each in order.
Neighbours: `shop.relay` sends. Source: transactional outbox (Richardson, "Microservices Patterns", 2018, 3.3.7).
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar
from uuid import uuid4

from sqlalchemy import (
    ColumnElement,
    Connection,
    Update,
    and_,
    delete,
    func,
    insert,
    literal_column,
    select,
    update,
)

from stockade.drivers.failures import Failure, classify
from stockade.store.engine.database import Database
from stockade.store.schema.tables import marks, outbox, relay_parts
from stockade.store.transaction.outbox_events import OUTBOX_PARTITIONS

T = TypeVar("T")

NEW, CONFIRMED, DEAD = "NEW", "CONFIRMED", "DEAD"
PURGED = "outbox.purged"  # in `marks`: events made before that may be gone
MAX_ERROR = 200
MAX_COUNTED = 100_000
READ_TRIES = 4  # queries that look behind keys which have to wait
OPEN_TRIES = 3

# Both conditions, spelled out: SQLite uses the partial index only where its own condition stands in the query.
_NEW = and_(outbox.c.state == literal_column(f"'{NEW}'"), outbox.c.state != literal_column(f"'{CONFIRMED}'"))
_DEAD = and_(outbox.c.state == literal_column(f"'{DEAD}'"), outbox.c.state != literal_column(f"'{CONFIRMED}'"))


class Posted(NamedTuple):
    """An event on its way out.

    Attributes:
        id: number in the outbox; grows with the versions of the event's key.
        request_id: of the command that made it.
        seq: which of that command's events.
        kind: e.g. `order.placed`.
        key: events of one key are sent in order.
        body: JSON.
        created_ms: the command's clock, milliseconds since 1970.
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
        """The same for every delivery of this event; consumers tell duplicates by it."""
        return f"{self.request_id}:{self.seq}"


class Refused(NamedTuple):
    """An event that the sink did not take: when to try again (milliseconds since 1970), or never."""

    id: int
    reason: str
    next_ms: int
    dead: bool


class Claim(NamedTuple):
    """A part in this relay's hands, and its oldest events that are due, in order."""

    part: int
    beat: int
    events: tuple[Posted, ...]


class Settlement(NamedTuple):
    """What became of a claim's events; those in neither list stay as they were."""

    claim: Claim
    confirmed: tuple[int, ...] = ()
    refused: tuple[Refused, ...] = ()


class Lag(NamedTuple):
    """How far the relays are behind.

    Attributes:
        waiting: events that are not confirmed and not dead.
        oldest_ms: when the oldest of them was made, None when there is none.
        dead: dead letters.
    """

    waiting: int
    oldest_ms: int | None
    dead: int


_POSTED = tuple(outbox.c[name] for name in Posted._fields)


class Outbox:
    """One relay's access to the outbox.

    Args:
        database: where it is.
        ttl_s: after how many seconds without a sign of life a part is taken from its holder.
        wait_s: the longest one transaction may take, in seconds.
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
        self._ttl_s = ttl_s
        self._wait_s = wait_s
        self._clock = clock
        self._seen: dict[int, tuple[int, float]] = {}  # part -> its beat, and since when we know it
        self._last = OUTBOX_PARTITIONS - 1

    async def open(self) -> None:
        """Make the rows of the parts, where they are not there yet."""
        for attempt in range(OPEN_TRIES):
            try:
                return await self._transaction(_make_parts)
            except Exception as error:
                if classify(error) is not Failure.DUPLICATE or attempt == OPEN_TRIES - 1:
                    raise
        raise AssertionError("the last attempt returns or raises")

    async def turn(self, done: Settlement | None, limit: int, now_ms: int) -> Claim | None:
        """Write down what became of the last claim and give it back, and take the next one: one transaction.

        Args:
            done: what to write down; None at the start.
            limit: events to take at most; 0 takes none.
            now_ms: the wall clock, for events that wait for another try.

        Returns:
            A part with events that are due (perhaps none: all of them wait), or None when no free part has any.
        """
        return await self._transaction(lambda c: self._turn(c, done, limit, now_ms))

    def _turn(self, connection: Connection, done: Settlement | None, limit: int, now_ms: int) -> Claim | None:
        if done is not None:
            self._settle(connection, done)
        return self._take(connection, limit, now_ms) if limit else None

    def _settle(self, connection: Connection, done: Settlement) -> None:
        # what the sink said holds whoever has the part by now; an event that is settled already stays so
        if done.confirmed:
            ids = sorted(done.confirmed)
            connection.execute(_by_id(outbox.c.id.in_(ids)).values(state=CONFIRMED, error=""))
        for each in sorted(done.refused):
            values = {
                "state": DEAD if each.dead else NEW,
                "attempts": outbox.c.attempts + 1,
                "next_ms": each.next_ms,
                "error": each.reason[:MAX_ERROR],
            }
            connection.execute(_by_id(outbox.c.id == each.id).values(values))
        claim = done.claim
        mine = and_(relay_parts.c.part == claim.part, relay_parts.c.beat == claim.beat)
        connection.execute(update(relay_parts).where(mine).values(owner="", beat=claim.beat + 1))

    def _take(self, connection: Connection, limit: int, now_ms: int) -> Claim | None:
        """The next part after the last one that is free, or left behind by its holder."""
        # one event of each part is looked up: as a condition of existence it is also planned as a join with all of them
        first = select(outbox.c.id).where(_NEW, outbox.c.part == relay_parts.c.part).limit(1).scalar_subquery()
        waiting = first.is_not(None)
        columns = (relay_parts.c.part, relay_parts.c.owner, relay_parts.c.beat)
        found = connection.execute(select(*columns).where(waiting).order_by(relay_parts.c.part)).all()
        for part, owner, beat in sorted(found, key=lambda row: (row.part - self._last - 1) % OUTBOX_PARTITIONS):
            if owner and not self._left_behind(part, beat):
                continue
            free = and_(relay_parts.c.part == part, relay_parts.c.beat == beat)
            # never waits for a part, so two relays cannot wait for each other
            if connection.execute(select(relay_parts.c.part).where(free).with_for_update(skip_locked=True)).first():
                connection.execute(update(relay_parts).where(free).values(owner=self.owner, beat=beat + 1))
                self._last = part
                return Claim(part, beat + 1, self._due(connection, part, limit, now_ms))
        return None

    def _left_behind(self, part: int, beat: int) -> bool:
        now = self._clock()
        known, since = self._seen.get(part, (-1, now))
        if known != beat:
            self._seen[part] = beat, now
            return False
        return now - since >= self._ttl_s

    @staticmethod
    def _due(connection: Connection, part: int, limit: int, now_ms: int) -> tuple[Posted, ...]:
        """The oldest events, without those whose key has one before them that waits for another try."""
        events: list[Posted] = []
        waiting: set[str] = set()
        behind = 0
        for _ in range(READ_TRIES):
            wanted = and_(_NEW, outbox.c.part == part, outbox.c.id > behind)
            if waiting:
                wanted = and_(wanted, outbox.c.key.not_in(sorted(waiting)))
            query = select(outbox.c.next_ms, *_POSTED).where(wanted).order_by(outbox.c.id).limit(limit - len(events))
            rows = connection.execute(query).all()
            for next_ms, *values in rows:
                event = Posted(*values)
                behind = event.id
                if next_ms > now_ms:
                    waiting.add(event.key)
                elif event.key not in waiting:
                    events.append(event._replace(body=bytes(event.body)))
            if len(events) == limit or len(rows) == 0:
                break
        return tuple(events)

    async def lag(self, most: int = MAX_COUNTED) -> Lag:
        """How far behind; a query over what is waiting only.

        Args:
            most: how many events of each kind are looked at; where there are more, the count says so many, and the
                oldest is one of those that were looked at.
        """
        new, dead_ = (select(outbox.c.created_ms).where(each).limit(most).subquery() for each in (_NEW, _DEAD))
        how_many, oldest = func.count(), func.min(new.c.created_ms)

        def body(connection: Connection) -> Lag:
            waiting, oldest_ms = connection.execute(select(how_many, oldest).select_from(new)).one()
            dead = connection.execute(select(how_many).select_from(dead_)).scalar_one()
            return Lag(waiting, oldest_ms, dead)

        return await self._database.read(body)

    async def dead(self, limit: int = 100) -> list[tuple[Posted, str]]:
        """The oldest dead letters, each with the last reason for which the sink refused it."""
        query = select(outbox.c.error, *_POSTED).where(_DEAD).order_by(outbox.c.id).limit(limit)
        rows = await self._database.read(lambda c: c.execute(query).all())
        return [(Posted(*values)._replace(body=bytes(values[5])), error) for error, *values in rows]

    async def revive(self, ids: Collection[int]) -> int:
        """Send dead letters again, behind events of their key that were sent meanwhile. How many there were."""
        again = update(outbox).where(outbox.c.id.in_(sorted(ids)), _DEAD).values(state=NEW, attempts=0, next_ms=0)
        return await self._transaction(lambda c: c.execute(again).rowcount)

    async def purge(self, before_ms: int, batch: int = 1_000, max_batches: int = 100) -> int:
        """Remove confirmed events made before `before_ms`, oldest first; how many there were.

        The mark is written with the first of them, so that the audit never takes a purged event for a lost one.
        """
        removed = behind = 0
        for _ in range(max_batches):
            gone, behind, more = await self._transaction(
                partial(_purge, before_ms=before_ms, behind=behind, batch=batch)
            )
            removed += gone
            if not more:
                break
        return removed

    async def _transaction(self, body: Callable[[Connection], T]) -> T:
        return await self._database.transaction(body, deadline=time.monotonic() + self._wait_s)


def _by_id(which: ColumnElement[bool]) -> Update:
    """An update of waiting events by number. InnoDB locks every row that it looks at, so it may look up by id only."""
    statement = update(outbox).where(which, _NEW)
    for name in ("mysql", "mariadb"):
        statement = statement.with_hint("FORCE INDEX (PRIMARY)", dialect_name=name)
    return statement


def _make_parts(connection: Connection) -> None:
    there = set(connection.execute(select(relay_parts.c.part)).scalars())
    rows = [{"part": part, "owner": "", "beat": 0} for part in range(OUTBOX_PARTITIONS) if part not in there]
    if rows:
        connection.execute(insert(relay_parts), rows)


def _purge(connection: Connection, before_ms: int, behind: int, batch: int) -> tuple[int, int, bool]:
    """One batch: (rows removed, the last id looked at, whether there may be more)."""
    query = select(outbox.c.id, outbox.c.state, outbox.c.created_ms).where(outbox.c.id > behind)
    rows = connection.execute(query.order_by(outbox.c.id).limit(batch)).all()
    old = [row for row in rows if row.created_ms < before_ms]
    ids = [row.id for row in old if row.state == CONFIRMED]
    if ids:
        _raise_mark(connection, before_ms)
        connection.execute(delete(outbox).where(outbox.c.id.in_(ids)))
    # numbers follow time but for clocks and long transactions: the first young batch ends it
    return len(ids), rows[-1].id if rows else behind, len(old) == len(rows) == batch


def _raise_mark(connection: Connection, at_ms: int) -> None:
    here = marks.c.name == PURGED
    found: ColumnElement[int] = marks.c.at_ms
    known = connection.execute(select(found).where(here).with_for_update()).scalar()
    row: Mapping[str, Any] = {"name": PURGED, "at_ms": at_ms}
    if known is None:
        connection.execute(insert(marks), row)
    elif known < at_ms:
        connection.execute(update(marks).where(here).values(at_ms=at_ms))


__all__: Sequence[str] = ("Claim", "Lag", "Outbox", "Posted", "Refused", "Settlement")
