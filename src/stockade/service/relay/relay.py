"""Moves events from the outbox to a sink. Every process may run a relay; relays share the partitions of the outbox.

One round: lease a partition, read its oldest events, give them to the sink. The transaction that leases the next
partition also records what the sink did. A relay that is killed loses nothing: what it sent and did not record is sent
again with the same event id, by the relay that takes the partition over.
Neighbours: `store.outbox` reads and writes, `sinks` deliver.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stockade.core.stopping import stopped_within
from stockade.service.jobs import Counts, tell
from stockade.service.relay.sinks import Receipt, Sink, SinkDown
from stockade.store.outbox import DeliveryReport, LeasedPartition, Outbox, OutboxEvent, RefusedEvent
from stockade.store.transaction.outbox_events import OUTBOX_PARTITIONS


@dataclass(frozen=True, slots=True)
class Policy:
    """How a relay works.

    Attributes:
        batch: events handed to the sink at once.
        tries: how many times the sink may refuse an event before it becomes a dead letter.
        retry_ms: pause after the first refusal in milliseconds; it doubles with every further one.
        max_retry_ms: bound of that pause.
        idle_s: pause when there is nothing to send, in seconds.
        down_s: first pause after the sink could not be reached, in seconds; it doubles.
        max_down_s: bound of that pause.
        publish_s: the longest that the sink may take for one batch, in seconds; less than the lease of a partition.
    """

    batch: int = 500
    tries: int = 8
    retry_ms: int = 500
    max_retry_ms: int = 60_000
    idle_s: float = 0.1
    down_s: float = 0.2
    max_down_s: float = 10.0
    publish_s: float = 9.0

    def refused(self, event: OutboxEvent, reason: str, now_ms: int) -> RefusedEvent:
        """What a refusal means for the event."""
        pause_ms = min(self.max_retry_ms, self.retry_ms * 2 ** min(event.attempts, 20))
        return RefusedEvent(event.id, reason, now_ms + pause_ms, event.attempts + 1 >= self.tries)


class Relay:
    """One relay.

    Args:
        outbox: where events come from.
        sink: where they go to.
        wall_clock_ms: gives the wall clock, milliseconds since 1970: refused events wait for a time.
        policy: how often, how many.
    """

    def __init__(
        self, outbox: Outbox, sink: Sink, wall_clock_ms: Callable[[], int], policy: Policy | None = None
    ) -> None:
        self._outbox = outbox
        self._sink = sink
        self._wall_clock_ms = wall_clock_ms
        self._policy = policy or Policy()
        self._report: DeliveryReport | None = None
        self.sent = self.refused = self.dead = 0

    async def once(self, *, last: bool = False) -> Counts | None:
        """One round.

        Args:
            last: record the round before, and lease nothing more.

        Returns:
            How many were `sent`, `refused` and became `dead`; None when there is nothing to do.

        Raises:
            SinkDown: the sink cannot be reached; the events stay.
            Busy: the database cannot.
        """
        leased = await self._outbox.exchange(self._report, 0 if last else self._policy.batch, self._wall_clock_ms())
        self._report = None
        if leased is None:
            return None
        self._report = DeliveryReport(leased)  # ends the lease even if the sink fails now
        if not leased.events:
            return {"sent": 0, "refused": 0, "dead": 0}
        report = self._report = self._report_of(leased, await self._publish(leased.events))
        dead = sum(each.dead for each in report.refused)
        counts = {"sent": len(report.confirmed), "refused": len(report.refused) - dead, "dead": dead}
        self.sent += counts["sent"]
        self.refused += counts["refused"]
        self.dead += dead
        return counts

    async def _publish(self, events: Sequence[OutboxEvent]) -> Sequence[Receipt]:
        try:
            async with asyncio.timeout(self._policy.publish_s) as limit:
                return await self._sink.publish(events)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise SinkDown(f"the sink did not answer within {self._policy.publish_s:g} s") from error

    def _report_of(self, leased: LeasedPartition, receipts: Sequence[Receipt]) -> DeliveryReport:
        now_ms = self._wall_clock_ms()
        pairs = list(zip(leased.events, receipts, strict=True))
        return DeliveryReport(
            leased,
            tuple(event.id for event, receipt in pairs if receipt.confirmed),
            tuple(
                self._policy.refused(event, receipt.reason, now_ms)
                for event, receipt in pairs
                if not receipt.confirmed and receipt.reason
            ),
        )

    async def run(self, stop: asyncio.Event, report: Callable[[Counts | Exception], None]) -> None:
        """Relay until `stop` is set; then record the last round, and close the sink.

        Args:
            stop: ends it.
            report: called with the counts of every round that did something, with every error, and with the counts of
                the first good round after errors, which may have done nothing. The relay goes on when the sink or the
                database is unavailable.
        """
        try:
            await self._rounds(stop, report)
            await self.once(last=True)
        finally:  # also of a relay that was cancelled during a slow round
            await self._sink.close()

    async def _rounds(self, stop: asyncio.Event, report: Callable[[Counts | Exception], None]) -> None:
        failures = empty = 0
        sink_down = False
        while not stop.is_set():
            try:
                counts = await self.once()
                did_something = counts is not None and any(counts.values())
                if did_something or (failures and not sink_down):  # a round without events says nothing of the sink
                    tell(report, counts or {})
                    failures, sink_down = 0, False
                if did_something:
                    empty = 0
                    continue
                empty += 1
                if counts is not None and empty <= OUTBOX_PARTITIONS:
                    # all events of this partition wait for another try; other partitions may have some that are due
                    continue
                pause_s = self._policy.idle_s
            except Exception as error:  # noqa: BLE001 - reported; the next round finds everything as it was
                tell(report, error)
                pause_s = min(self._policy.max_down_s, self._policy.down_s * 2 ** min(failures, 20))
                failures += 1
                sink_down = sink_down or isinstance(error, SinkDown)
            await stopped_within(stop, pause_s)
