"""The relay of a service process, and the sink of a recording: a file to which all processes append what they deliver.

Every process relays, so faults that hit processes, the database or the links to it hit relays too; the lease of a
partition is short, so that a relay which is suspended finds its events sent by another. Neighbours: `service_main.py`
opens the relay, `recording/deliveries.py` reads the file, `checkers/system/events.py` judges it.
"""

import asyncio
import errno
import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from stockade.core import now_ms
from stockade.service import Policy, Receipt, Relay
from stockade.service.relay import CONFIRMED
from stockade.store import Database
from stockade.store.outbox import Outbox, OutboxEvent

LEASE_S: Final = 1.0  # of a partition
POLICY: Final = Policy(batch=200, publish_s=0.9, max_down_s=0.5)
ROUND_S: Final = 0.05  # that a batch takes, as with a broker: without it relays would be most of the load
END_WAIT_S: Final = 5.0


class FileSink:
    """Appends each event as a line of JSON, `[event id, key]`, in one write: what a killed process has written stays.

    A line begins with its line break: it joins no line that was cut off because a process or the disk was at its end.

    Args:
        path: of the file.
    """

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def append(self, event_id: str, key: str) -> None:
        """Deliver one event.

        Raises:
            OSError: not all of it could be written: the event is not delivered.
        """
        line = b"\n" + json.dumps([event_id, key]).encode()
        if os.write(self._file, line) < len(line):
            raise OSError(errno.ENOSPC, "an event could not be written whole")

    async def publish(self, events: Sequence[OutboxEvent]) -> Sequence[Receipt]:
        """See `stockade.service.Sink`."""
        for event in events:
            self.append(event.event_id, event.key)
        await asyncio.sleep(ROUND_S)
        return [CONFIRMED] * len(events)

    async def close(self) -> None:
        """Close the file."""
        os.close(self._file)


@asynccontextmanager
async def relaying_to(path: str, database: Database) -> AsyncIterator[None]:
    """Relay the events of a database to a file inside the block.

    Args:
        path: of the file.
        database: of the service.
    """
    outbox, stop = Outbox(database, ttl_s=LEASE_S), asyncio.Event()
    await outbox.open()
    relay = Relay(outbox, FileSink(path), now_ms, POLICY)
    # what goes wrong is intended here; events that are never delivered show in the history
    task = asyncio.create_task(relay.run(stop, lambda _: None), name="stockade-relay")
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait([task], timeout=END_WAIT_S)
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
