"""Consumer offsets of ordered logs, kept in the database and moved by the transaction of the commands that were read.

Neighbours: `transaction.steps` moves them before it saves; `kafka.worker` takes partitions and reads on from them.
Source of the fence by epoch: Burrows, "The Chubby lock service" (OSDI 2006), 2.4.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, Update, and_, bindparam, insert, or_, select, update

from stockade.core import OffsetCommit, StaleOffset
from stockade.store.engine.database import Database
from stockade.store.engine.insert_race import repeat_if_taken
from stockade.store.schema.tables import StoreTables


class _Statements(NamedTuple):
    """What moves the offset of a partition, what only compares it, and what waits for the transaction that has it; what
    takes the partition, what sets its offset by hand, and what reads it."""

    move: Update
    hold: Update
    wait: Select[Any]
    take: Update
    set_by_hand: Update
    read: Select[Any]


@lru_cache(maxsize=16)
def _statements(tables: StoreTables) -> _Statements:
    offsets = tables.consumer_offsets.c
    here = and_(offsets.topic == bindparam("topic_"), offsets.part == bindparam("part_"))
    held = and_(
        here,
        offsets.epoch == bindparam("epoch_"),
        # `new` too: a commit whose reply was lost has moved it already, and no other reader has this epoch
        or_(offsets.position == bindparam("old_"), offsets.position == bindparam("new_")),
    )
    change = update(tables.consumer_offsets).where(held)
    raised = update(tables.consumer_offsets).where(here).values(epoch=offsets.epoch + 1)
    return _Statements(
        change.values(position=bindparam("new_")),
        change.values(position=offsets.position),
        select(offsets.position).where(here).with_for_update(),
        raised,
        raised.values(position=bindparam("new_")),
        select(offsets.position, offsets.epoch).where(here),
    )


def move_offsets(connection: Connection, tables: StoreTables, moves: Sequence[OffsetCommit], *, move: bool) -> None:
    """Compare and set all offsets, in one order of locks.

    Args:
        connection: in the transaction of the commands that were read.
        tables: of the store.
        moves: the offsets.
        move: False: only compare, and lock the rows until the commit.

    Raises:
        StaleOffset: an offset is not at `old`, or another reader has its partition.
    """
    statements = _statements(tables)
    for each in sorted(moves):
        values = {
            "topic_": each.topic,
            "part_": each.part,
            "epoch_": each.epoch,
            "old_": each.old,
            "new_": each.new,
        }
        statement = statements.move if move else statements.hold
        if connection.execute(statement, values).rowcount == 1:
            continue
        # The transaction of the batch before may be open and about to set it to `old`: wait for its end, then compare.
        connection.execute(statements.wait, {"topic_": each.topic, "part_": each.part})
        if connection.execute(statement, values).rowcount != 1:
            raise StaleOffset(
                f"{each.topic}/{each.part} is not at {each.old} under epoch {each.epoch}: another reader has it"
            )


class ConsumerOffsets:
    """The offsets of one topic.

    Args:
        database: where the rows are that the messages change.
        topic: of the log.
        wait_s: the longest that one transaction may take, in seconds.
    """

    def __init__(self, database: Database, topic: str, wait_s: float = 5.0) -> None:
        self._database = database
        self._table = database.tables.consumer_offsets
        self._topic = topic
        self._wait_s = wait_s

    async def take(self, partition: int, first: int) -> OffsetCommit:
        """Become the reader of a partition: the store refuses offsets of the reader before.

        Args:
            partition: its number.
            first: the offset to start from when the partition was never read.

        Returns:
            An OffsetCommit whose `old` and `new` are the next offset to read, under the new epoch.
        """
        return await repeat_if_taken(
            lambda: self._database.write(lambda c: self._take(c, partition, first), timeout_s=self._wait_s)
        )

    def _take(self, connection: Connection, partition: int, first: int) -> OffsetCommit:
        statements, here = _statements(self._database.tables), {"topic_": self._topic, "part_": partition}
        if connection.execute(statements.take, here).rowcount == 0:
            row = {"topic": self._topic, "part": partition, "position": first, "epoch": 1}
            connection.execute(insert(self._table), row)
        found = connection.execute(statements.read, here).one()
        return OffsetCommit(self._topic, partition, found.position, found.position, found.epoch)

    async def advance(self, moves: Sequence[OffsetCommit]) -> None:
        """Move offsets in a transaction of their own: past messages that carried no command.

        Raises:
            StaleOffset: another reader has a partition.
        """
        await self._database.write(
            lambda c: move_offsets(c, self._database.tables, moves, move=True), timeout_s=self._wait_s
        )

    async def read(self) -> Mapping[int, int]:
        """The next offset to read of every partition that was ever read."""
        wanted = select(self._table.c.part, self._table.c.position).where(self._table.c.topic == self._topic)
        return await self._database.read(lambda c: {row.part: row.position for row in c.execute(wanted)})

    async def rewind(self, partition: int, position: int) -> None:
        """Set an offset by hand, e.g. to replay a partition; its reader is refused and takes the partition again.

        A replay is safe while the request ids of the replayed commands are kept: each gives its recorded outcome.
        """
        there = {"topic_": self._topic, "part_": partition, "new_": position}
        statement = _statements(self._database.tables).set_by_hand
        await self._database.write(lambda c: c.execute(statement, there), timeout_s=self._wait_s)
