"""A relay inside a process, and the job that deletes old confirmed events.

Neighbours: `bootstrap` starts both beside the other jobs, with the sink that the settings name.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from stockade.shop.config.kafka_brokers import brokers_of
from stockade.shop.config.settings import Settings
from stockade.shop.operations.jobs import ended
from stockade.shop.operations.logs import logger
from stockade.shop.relay.kafka_sink import KafkaSink
from stockade.shop.relay.relay import Counts, Relay
from stockade.shop.relay.sinks import Handlers, Sink
from stockade.shop.sales.progress import progress_of
from stockade.store import Database
from stockade.store.outbox import Outbox, OutboxEvent

KEEP, LOG, KAFKA = "keep", "log", "kafka"


def sink_of(settings: Settings) -> Sink | None:
    """The sink that the settings name; None where events are only kept.

    Raises:
        BadSetting: as `brokers_of`.
    """
    if settings.events == KAFKA:
        return KafkaSink(brokers_of(settings), settings.events_topic)
    return Handlers(_write) if settings.events == LOG else None


async def _write(event: OutboxEvent) -> None:
    logger().info("event", id=event.event_id, kind=event.kind, key=event.key, body=event.body.decode())


@asynccontextmanager
async def relaying(database: Database, sink: Sink, now_ms: Callable[[], int]) -> AsyncIterator[Relay]:
    """Relay in the background; at the end the relay records its last round.

    Args:
        database: with the outbox.
        sink: receives the events.
        now_ms: the wall clock, milliseconds since 1970.
    """
    outbox = Outbox(database)
    await outbox.open()
    relay, stop = Relay(outbox, sink, now_ms), asyncio.Event()
    task = asyncio.create_task(relay.run(stop, _report), name="stockade-relay")
    try:
        yield relay
    finally:
        stop.set()
        await ended([task])
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            _report(error)  # the last round is not recorded: a relay sends its events again


def _report(result: Counts | Exception) -> None:
    if isinstance(result, Exception):
        logger().warning("relay", error=repr(result))
    elif result["dead"] or result["refused"]:
        logger().warning("relay", **result)


class EventPurge:
    """Deletes confirmed events that are older than `kept_ms`, and that the sums of sales hold.

    The last event that they hold stays: SQLite gives the id of the newest row again once that row is deleted.
    """

    def __init__(self, database: Database, now_ms: Callable[[], int], kept_ms: int) -> None:
        self._database, self._outbox = database, Outbox(database)
        self._now_ms, self._kept_ms = now_ms, kept_ms

    async def once(self) -> dict[str, Any]:
        """One round; returns how many were `deleted`."""
        progress = await self._database.read(progress_of)
        before_id = None if progress is None else progress.position
        return {"deleted": await self._outbox.purge(self._now_ms() - self._kept_ms, before_id=before_id)}
