"""What the sink of a recording received: waits until the relays have sent everything, then reads their file.

Neighbours: `execution/processes/events.py` writes the file, `final_phase.py` puts what was read into the final state.
"""

import asyncio
import json
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from stockade.lab.history.final_state import Delivery
from stockade.store import Database
from stockade.store.outbox import Outbox

RELAY_WAIT_S: Final = 15.0  # the lease of a partition whose relay was killed, and a round of every partition
POLL_S: Final = 0.05


async def wait_until_sent(database: Database) -> None:
    """Wait until no event is left to send, for a bounded time: what was not sent then shows in the history.

    Args:
        database: with the outbox.
    """
    outbox, deadline = Outbox(database), time.monotonic() + RELAY_WAIT_S
    while time.monotonic() < deadline:
        if not (await outbox.lag()).waiting:
            return
        await asyncio.sleep(POLL_S)


def read_deliveries(path: Path, sequences: Mapping[str, int], setup_ids: Collection[str]) -> tuple[Delivery, ...]:
    """What the file contains, in the order of receipt.

    Args:
        path: of the file; one that does not exist contains nothing.
        sequences: by event id: the place among the events of its key. An event without one is in no outbox.
        setup_ids: requests that made the rows: their events are left out.
    """
    found = []
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            event_id, key = json.loads(line)
        except ValueError:  # a process was killed in the middle of it, and has not confirmed it
            continue
        if event_id.rpartition(":")[0] not in setup_ids:
            found.append(Delivery(event_id, key, sequences.get(event_id, -1)))
    return tuple(found)
