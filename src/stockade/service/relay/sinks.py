"""Where events go. A sink confirms an event when the event is stored there, not when a consumer has read it.

Neighbours: `relay` calls; `kafka_sink` sends to Kafka.
"""

import asyncio
import time
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
"""Not sent: the sink refused an earlier event of the same key, or takes no more of this batch."""


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
        wait_s: the longest that the handlers may take for one event together, in seconds.
        batch_s: after so many seconds no further event of a batch begins: the next round sends the rest. With `wait_s`
            it must be less than the lease of a partition of the outbox (10 s), or another relay sends the batch too.
    """

    def __init__(self, *handlers: Handler, wait_s: float = 5.0, batch_s: float = 1.0) -> None:
        self._handlers = handlers
        self._wait_s, self._batch_s = wait_s, batch_s

    async def publish(self, events: Sequence[OutboxEvent]) -> Sequence[Receipt]:
        """See `Sink.publish`."""
        receipts: list[Receipt] = []
        held: set[str] = set()
        end = time.monotonic() + self._batch_s
        for event in events:
            if receipts and time.monotonic() >= end:
                return [*receipts, *[HELD] * (len(events) - len(receipts))]
            receipt = HELD if event.key in held else await self._call(event)
            if not receipt.confirmed:
                held.add(event.key)
            receipts.append(receipt)
        return receipts

    async def _call(self, event: OutboxEvent) -> Receipt:
        try:
            async with asyncio.timeout(self._wait_s):
                for handler in self._handlers:
                    await handler(event)
        except SinkDown:
            raise
        except Exception as error:  # noqa: BLE001 - the reason of the refusal, stored with the event
            return Receipt(False, f"{type(error).__name__}: {error}")
        return CONFIRMED

    async def close(self) -> None:
        """Nothing to close."""
