"""Consumed positions of ordered logs, moved by the transaction that their messages caused.

Neighbours: `transact` moves them first thing in its save; `shop.worker` takes partitions and reads where to go on.
Source of the fence by epoch: reliability of leases as in Burrows, "The Chubby lock service" (OSDI 2006), 2.4.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from sqlalchemy import Connection, and_, bindparam, insert, or_, select, update

from stockade.core import OffsetCommit, StaleOffset
from stockade.drivers.failures import Failure, classify
from stockade.store.engine.database import Database
from stockade.store.schema.tables import positions

T = TypeVar("T")

TAKE_TRIES = 5  # how often two takers of a partition that is new may meet

_HELD = and_(
    positions.c.topic == bindparam("topic_"),
    positions.c.part == bindparam("part_"),
    positions.c.epoch == bindparam("epoch_"),
    # `new` too: a commit whose reply was lost has moved it already, and nobody else moves it under this epoch
    or_(positions.c.position == bindparam("old_"), positions.c.position == bindparam("new_")),
)
_MOVE = update(positions).where(_HELD).values(position=bindparam("new_"))
_HOLD = update(positions).where(_HELD).values(position=positions.c.position)

_WAIT = (
    select(positions.c.position)
    .where(positions.c.topic == bindparam("topic_"), positions.c.part == bindparam("part_"))
    .with_for_update()
)


def move_positions(connection: Connection, moves: Sequence[OffsetCommit], *, move: bool) -> None:
    """Compare and set all positions, in one order; or only compare them, and hold them until the commit.

    Raises:
        StaleOffset: one is not where it was, or belongs to another reader.
    """
    for each in sorted(moves):
        values = {
            "topic_": each.topic,
            "part_": each.part,
            "epoch_": each.epoch,
            "old_": each.old,
            "new_": each.new,
        }
        statement = _MOVE if move else _HOLD
        if connection.execute(statement, values).rowcount == 1:
            continue
        # the batch before may be about to move it there: wait for its commit, and look again
        connection.execute(_WAIT, {"topic_": each.topic, "part_": each.part})
        if connection.execute(statement, values).rowcount != 1:
            raise StaleOffset(
                f"{each.topic}/{each.part} is not at {each.old} under epoch {each.epoch}: another reader has it"
            )


class Positions:
    """The positions of one topic.

    Args:
        database: where the rows are that the messages change.
        topic: of the log.
        wait_s: the longest one of these transactions may take, in seconds.
    """

    def __init__(self, database: Database, topic: str, wait_s: float = 5.0) -> None:
        self._database = database
        self._topic = topic
        self._wait_s = wait_s

    async def take(self, part: int, first: int) -> OffsetCommit:
        """Become the reader of a partition: whoever read it before is refused from now on.

        Args:
            part: number of the partition.
            first: where to start when nobody ever read it.

        Returns:
            A OffsetCommit whose `old` and `new` are the next offset to read, under the new epoch.
        """
        for attempt in range(TAKE_TRIES):
            try:
                return await self._transaction(lambda c: self._take(c, part, first))
            except Exception as error:
                if classify(error) is not Failure.DUPLICATE or attempt == TAKE_TRIES - 1:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _take(self, connection: Connection, part: int, first: int) -> OffsetCommit:
        here = and_(positions.c.topic == self._topic, positions.c.part == part)
        raised = update(positions).where(here).values(epoch=positions.c.epoch + 1)
        if connection.execute(raised).rowcount == 0:
            row = {"topic": self._topic, "part": part, "position": first, "epoch": 1}
            connection.execute(insert(positions), row)
        found = connection.execute(select(positions.c.position, positions.c.epoch).where(here)).one()
        return OffsetCommit(self._topic, part, found.position, found.position, found.epoch)

    async def advance(self, moves: Sequence[OffsetCommit]) -> None:
        """Move positions in a transaction of their own: behind messages that caused no other.

        Raises:
            StaleOffset: another reader has a partition.
        """
        await self._transaction(lambda c: move_positions(c, moves, move=True))

    async def read(self) -> Mapping[int, int]:
        """The next offset to read of every partition that was ever read."""
        wanted = select(positions.c.part, positions.c.position).where(positions.c.topic == self._topic)
        return await self._database.read(lambda c: {row.part: row.position for row in c.execute(wanted)})

    async def rewind(self, part: int, position: int) -> None:
        """Set a position by hand, e.g. to replay a partition; its reader is refused and takes it anew.

        Replaying is safe while the request ids of what is replayed are kept: each command gives its recorded outcome.
        """
        here = and_(positions.c.topic == self._topic, positions.c.part == part)
        there = update(positions).where(here).values(position=position, epoch=positions.c.epoch + 1)
        await self._transaction(lambda c: c.execute(there))

    async def _transaction(self, body: Callable[[Connection], T]) -> T:
        return await self._database.transaction(body, deadline=time.monotonic() + self._wait_s)
