"""Events leave the outbox: at least once, per key in order, confirmed by the sink.

`relay` moves them, `sinks` are where to, `inbox` is the other end: a consumer that deals with each event once.
Neighbours: `store.outbox` below; `wiring` and the command line start relays.
"""

from stockade.shop.relay.inbox import Inbox
from stockade.shop.relay.kafka_sink import KafkaSink
from stockade.shop.relay.relay import Policy, Relay
from stockade.shop.relay.sinks import CONFIRMED, HELD, Handlers, Receipt, Sink, SinkDown

__all__ = ["CONFIRMED", "HELD", "Handlers", "Inbox", "KafkaSink", "Policy", "Receipt", "Relay", "Sink", "SinkDown"]
