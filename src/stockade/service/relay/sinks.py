"""Where events go. A sink confirms an event when the event is stored there, not when a consumer has read it.

Neighbours: `relay` calls; `kafka_sink` sends to Kafka.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol

from stockade.store.outbox import OutboxEvent


class SinkDown(Exception):
    """The sink cannot be reached. The relay sends the unconfirmed events again; this does not count as a try."""


class Receipt(NamedTuple):
    """Whether a sink has stored one event. A refusal has a reason and counts as a try."""

    confirmed: bool
    reason: str = ""


CONFIRMED = Receipt(True)
"""The sink has stored the event."""
HELD = Receipt(False)
"""Not sent, because the sink refused an earlier event of the same key."""


class Sink(Protocol):
    """A destination of events."""

    async def publish(self, events: Sequence[OutboxEvent]) -> Sequence[Receipt]:
        """Deliver events, those of one key in the given order; returns one receipt for each.

        After a refused event the sink does not send later events of that key: their receipt is HELD.

        Raises:
            SinkDown: it cannot be reached. Some of the events may have arrived.
        """
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


Handler = Callable[[OutboxEvent], Awaitable[None]]


class Handlers:
    """A sink that calls functions of this process, one event after the other.

    Args:
        handlers: each receives every event. If one raises, the event is refused, and all handlers receive it again.
        wait_s: the longest that one handler may take, in seconds.
    """

    def __init__(self, *handlers: Handler, wait_s: float = 5.0) -> None:
        self._handlers = handlers
        self._wait_s = wait_s

    async def publish(self, events: Sequence[OutboxEvent]) -> Sequence[Receipt]:
        """See `Sink.publish`."""
        receipts: list[Receipt] = []
        held: set[str] = set()
        for event in events:
            receipt = HELD if event.key in held else await self._call(event)
            if not receipt.confirmed:
                held.add(event.key)
            receipts.append(receipt)
        return receipts

    async def _call(self, event: OutboxEvent) -> Receipt:
        try:
            for handler in self._handlers:
                async with asyncio.timeout(self._wait_s):
                    await handler(event)
        except SinkDown:
            raise
        except Exception as error:  # noqa: BLE001 - the reason of the refusal, stored with the event
            return Receipt(False, f"{type(error).__name__}: {error}")
        return CONFIRMED

    async def close(self) -> None:
        """Nothing to close."""
