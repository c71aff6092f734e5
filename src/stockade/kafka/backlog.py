"""How many messages of each partition are not decided yet.

Neighbours: `shop.operations.backlog` shows it as a metric, the command line as a column of `stockade positions list`.
"""

import asyncio
from collections.abc import Mapping

from stockade.kafka.admin import Admin, OffsetRange
from stockade.kafka.security import Brokers
from stockade.store import Database
from stockade.store.consumer_offsets import ConsumerOffsets


def undecided(ranges: Mapping[int, OffsetRange], positions: Mapping[int, int]) -> dict[int, int]:
    """How many messages of each partition are not decided; without a position, from the partition's first message."""
    return {
        partition: max(0, offsets.end - max(offsets.first, positions.get(partition, 0)))
        for partition, offsets in ranges.items()
    }


class Backlog:
    """The backlog of one topic.

    Args:
        database: holds the positions.
        brokers: see `Brokers`.
        topic: of commands.
        wait_s: the longest one call to the brokers may take, in seconds.
    """

    def __init__(self, database: Database, brokers: Brokers, topic: str, wait_s: float) -> None:
        self._database, self._brokers, self._topic, self._wait_s = database, brokers, topic, wait_s
        self._admin: Admin | None = None

    async def read(self) -> dict[int, int]:
        """How many messages of each partition are not decided.

        Raises:
            Busy: the brokers or the database cannot be reached.
            NotSupported: no client library.
        """
        admin = self._admin = self._admin or Admin(self._brokers, self._wait_s)
        # first the positions: in the other order a busy topic would look decided beyond its end
        positions = await ConsumerOffsets(self._database, self._topic).read()
        return undecided(await asyncio.to_thread(admin.offset_ranges, self._topic), positions)
