"""Moves events from the outbox to a sink. Every process may run one; they share the parts of the outbox.

One round: take a part, read its oldest events, hand them to the sink, and write what it said in the transaction that
takes the next part. Killed anywhere, nothing is lost: what was sent and not written down is sent again (the event id
tells), and the part is taken over by another relay. Neighbours: `store.outbox` reads and writes, `sinks` deliver.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stockade.shop.relay.sinks import Receipt, Sink, SinkDown
from stockade.store.outbox import Claim, Outbox, Posted, Refused, Settlement
from stockade.store.transaction.outbox_events import OUTBOX_PARTITIONS

Counts = dict[str, int]


@dataclass(frozen=True, slots=True)
class Policy:
    """How a relay works.

    Attributes:
        batch: events handed to the sink at once.
        tries: how often the sink may refuse an event before it becomes a dead letter.
        retry_ms: pause after the first refusal in milliseconds; it doubles with every further one.
        max_retry_ms: bound of that pause.
        idle_s: pause when there is nothing to send, in seconds.
        down_s: first pause after the sink could not be reached, in seconds; it doubles.
        max_down_s: bound of that pause.
    """

    batch: int = 500
    tries: int = 8
    retry_ms: int = 500
    max_retry_ms: int = 60_000
    idle_s: float = 0.1
    down_s: float = 0.2
    max_down_s: float = 10.0

    def refused(self, event: Posted, reason: str, now_ms: int) -> Refused:
        """What a refusal means for the event."""
        pause_ms = min(self.max_retry_ms, self.retry_ms * 2 ** min(event.attempts, 20))
        return Refused(event.id, reason, now_ms + pause_ms, event.attempts + 1 >= self.tries)


class Relay:
    """One relay.

    Args:
        outbox: where events come from.
        sink: where they go to.
        now_ms: the wall clock, milliseconds since 1970: refused events wait for a time.
        policy: how often, how many.
    """

    def __init__(self, outbox: Outbox, sink: Sink, now_ms: Callable[[], int], policy: Policy | None = None) -> None:
        self._outbox = outbox
        self._sink = sink
        self._now_ms = now_ms
        self._policy = policy or Policy()
        self._done: Settlement | None = None
        self.sent = self.refused = self.dead = 0

    async def once(self, *, last: bool = False) -> Counts | None:
        """One round.

        Args:
            last: write down what the round before did, and take nothing more.

        Returns:
            How many were `sent`, `refused` and became `dead`; None when there is nothing to do.

        Raises:
            SinkDown: the sink cannot be reached; the events stay.
            Busy: the database cannot.
        """
        claim = await self._outbox.turn(self._done, 0 if last else self._policy.batch, self._now_ms())
        self._done = None
        if claim is None:
            return None
        self._done = Settlement(claim)  # given back unsettled, whatever happens now
        if not claim.events:
            return {"sent": 0, "refused": 0, "dead": 0}
        receipts = await self._sink.publish(claim.events)
        self._done = self._settlement(claim, receipts)
        dead = sum(each.dead for each in self._done.refused)
        counts = {"sent": len(self._done.confirmed), "refused": len(self._done.refused) - dead, "dead": dead}
        self.sent, self.refused, self.dead = (
            self.sent + counts["sent"],
            self.refused + counts["refused"],
            self.dead + counts["dead"],
        )
        return counts

    def _settlement(self, claim: Claim, receipts: Sequence[Receipt]) -> Settlement:
        now_ms = self._now_ms()
        pairs = list(zip(claim.events, receipts, strict=True))
        return Settlement(
            claim,
            tuple(event.id for event, receipt in pairs if receipt.confirmed),
            tuple(
                self._policy.refused(event, receipt.reason, now_ms)
                for event, receipt in pairs
                if not receipt.confirmed and receipt.reason
            ),
        )

    async def run(self, stop: asyncio.Event, report: Callable[[Counts | Exception], None]) -> None:
        """Work until `stop` is set; then the round under way is written down.

        Args:
            stop: ends it.
            report: told of every round that did something, and of every error; the relay outlives both a sink and a
                database that are away.
        """
        failures = empty = 0
        while not stop.is_set():
            try:
                counts = await self.once()
                failures = 0
                if counts and any(counts.values()):
                    report(counts)
                    empty = 0
                    continue
                empty += 1
                if counts is not None and empty <= OUTBOX_PARTITIONS:
                    continue  # all events of this part wait for another try; the other parts may have some that do not
                pause_s = self._policy.idle_s
            except Exception as error:  # noqa: BLE001 - told to `report`; the next round finds everything as it was
                report(error)
                pause_s = min(self._policy.max_down_s, self._policy.down_s * 2 ** min(failures, 20))
                failures += 1
            await _pause(stop, pause_s)
        await self.finish()

    async def finish(self) -> None:
        """Write down what the last round did, and close the sink."""
        try:
            await self.once(last=True)
        finally:
            await self._sink.close()


async def _pause(stop: asyncio.Event, pause_s: float) -> None:
    try:
        async with asyncio.timeout(pause_s):
            await stop.wait()
    except TimeoutError:
        return


__all__ = ["Policy", "Relay", "SinkDown"]
