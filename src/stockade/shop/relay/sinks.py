"""Where events go. A sink confirms an event when it is safe there, not when somebody read it.

Neighbours: `relay` calls; `kafka_sink` is the one that leaves the process.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol

from stockade.store.outbox import Posted


class SinkDown(Exception):
    """The sink cannot be reached: nothing of what is unconfirmed counts as a try, all of it is sent again later."""


class Receipt(NamedTuple):
    """What a sink says of one event; a refusal has a reason and counts as a try."""

    confirmed: bool
    reason: str = ""


CONFIRMED = Receipt(True)
HELD = Receipt(False)
"""Not sent, because an event of the same key before it was refused."""


class Sink(Protocol):
    """A destination of events."""

    async def publish(self, events: Sequence[Posted]) -> Sequence[Receipt]:
        """Deliver events, those of one key in the order given; one receipt for each.

        After an event that it refuses, a sink does not send later ones of that key: they are HELD.

        Raises:
            SinkDown: it cannot be reached. Some of the events may have arrived.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


Handler = Callable[[Posted], Awaitable[None]]


class Handlers:
    """The sink of the embedded default: functions of this process, called one event after the other.

    Args:
        handlers: each gets every event. One that raises refuses the event for all; those before it see it again.
        wait_s: the longest a handler may take, in seconds.
    """

    def __init__(self, *handlers: Handler, wait_s: float = 5.0) -> None:
        self._handlers = handlers
        self._wait_s = wait_s

    async def publish(self, events: Sequence[Posted]) -> Sequence[Receipt]:
        """See `Sink.publish`."""
        receipts: list[Receipt] = []
        held: set[str] = set()
        for event in events:
            receipt = HELD if event.key in held else await self._hand_over(event)
            if not receipt.confirmed:
                held.add(event.key)
            receipts.append(receipt)
        return receipts

    async def _hand_over(self, event: Posted) -> Receipt:
        try:
            for handler in self._handlers:
                async with asyncio.timeout(self._wait_s):
                    await handler(event)
        except SinkDown:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is its reason, kept with the event
            return Receipt(False, f"{type(error).__name__}: {error}")
        return CONFIRMED

    async def close(self) -> None:
        """Nothing to close."""
