"""Events: the event of each order arrives at least once, in the order of its key, and none without its order.

A sink may receive an event several times; the first receipt of each id counts. A refusal changes no row: its event may
have its number before or after those of changes that were decided beside it, so its place says nothing.
"""

from collections.abc import Iterator
from typing import Final

from stockade.lab.checkers.indexed_history import IndexedHistory
from stockade.lab.checkers.violation import Violation
from stockade.lab.history.final_state import OutboxLine

RULE: Final = "events"
RELAYED: Final = "relayed"  # in `FinalState.extra`: relays have sent the events to a sink that keeps them


def check(history: IndexedHistory) -> Iterator[Violation]:
    """Compare orders with the outbox, and the outbox with what the sink received."""
    final = history.final
    outbox = {each.event_id: each for each in final.outbox}
    if len(outbox) != len(final.outbox):
        yield Violation(RULE, f"{len(final.outbox)} events in the outbox have {len(outbox)} ids")
    told_of = {each.request_id for each in final.outbox}
    for order in final.orders:
        if order.order_id not in told_of:
            yield Violation(RULE, f"order {order.order_id} has no event", request_id=order.order_id)
    for event in final.outbox:
        if history.recorded and event.request_id not in history.recorded and event.request_id in history.tries:
            yield _violation(event, "is about a request that is not recorded")
    if final.deliveries or final.extra.get(RELAYED):
        yield from _deliveries(history, outbox)


def _deliveries(history: IndexedHistory, outbox: dict[str, OutboxLine]) -> Iterator[Violation]:
    received: set[str] = set()
    last: dict[str, int] = {}
    for delivery in history.final.deliveries:
        event = outbox.get(delivery.event_id)
        if event is None:
            text = f"event {delivery.event_id} of {delivery.key} was received, and is in no outbox"
            yield Violation(RULE, text, key=delivery.key)
        elif delivery.event_id not in received:
            received.add(delivery.event_id)
            if (request := history.recorded.get(event.request_id)) is not None and not request.accepted:
                continue
            before = last.get(event.key, -1)
            if event.sequence < before:
                yield _violation(event, f"(number {event.sequence} of its key) was received after number {before}")
            last[event.key] = max(before, event.sequence)
    for event in outbox.values():
        if event.event_id not in received:
            yield _violation(event, "was never received")


def _violation(event: OutboxLine, text: str) -> Violation:
    detail = f"event {event.event_id} ({event.kind}) of {event.key} {text}"
    return Violation(RULE, detail, key=event.key, request_id=event.request_id)
