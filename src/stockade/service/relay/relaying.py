"""A relay in the background of a process, from the start of a block to its end.

Neighbours: `relay` has the rounds, `service.background` opens the block beside the other jobs.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from stockade.service.job_log import JobLog
from stockade.service.jobs import Counts, Report, Round, ended, tell
from stockade.service.relay.relay import Policy, Relay
from stockade.service.relay.sinks import Sink
from stockade.store import Database
from stockade.store.outbox import Outbox


@asynccontextmanager
async def relaying(
    database: Database,
    sink: Sink,
    wall_clock_ms: Callable[[], int],
    *,
    report: Report | None = None,
    policy: Policy | None = None,
) -> AsyncIterator[Relay]:
    """Relay in the background; at the end the relay records its last round.

    Args:
        database: with the outbox.
        sink: receives the events.
        wall_clock_ms: gives the wall clock, milliseconds since 1970.
        report: called with every error, every round that had events, and the first good round after errors.
        policy: how often it tries.
    """
    outbox, reported = Outbox(database), report or JobLog()
    await outbox.open()
    relay, stop = Relay(outbox, sink, wall_clock_ms, policy), asyncio.Event()

    def say(result: Counts | Exception) -> None:
        if isinstance(result, Exception):
            reported(Round("relay", {}, result))
        else:  # what was sent is the normal course, and metrics count it
            reported(Round("relay", {name: count for name, count in result.items() if name != "sent"}))

    task = asyncio.create_task(relay.run(stop, say), name="stockade-relay")
    try:
        yield relay
    finally:
        stop.set()
        await ended([task])
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            tell(say, error)  # the last round is not recorded: a relay sends its events again
