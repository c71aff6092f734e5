"""Relays send the events of the outbox to a sink: at least once, and those of one key in order.

`relay` sends, `sinks` receive, `inbox` is for consumers: each processes an event once.
Neighbours: `store.outbox` below; `service` starts relays.
"""

from stockade.service.relay.inbox import Inbox
from stockade.service.relay.kafka_sink import KafkaSink
from stockade.service.relay.relay import Policy, Relay
from stockade.service.relay.sinks import CONFIRMED, HELD, Handlers, Receipt, Sink, SinkDown

__all__ = ["CONFIRMED", "HELD", "Handlers", "Inbox", "KafkaSink", "Policy", "Receipt", "Relay", "Sink", "SinkDown"]
