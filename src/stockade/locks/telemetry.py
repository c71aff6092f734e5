"""Locks as OpenTelemetry spans: `lock.wait` for every wait, `lock.hold` for every hold.

Neighbour: `events.py` (what is turned into spans).
"""

import time
from typing import Any

from stockade.locks.errors import missing
from stockade.locks.events import EventKind, LockEvent
from stockade.locks.face import ProviderBase

_SPANS: dict[EventKind, str] = {
    "acquired": "lock.wait",
    "timeout": "lock.wait",
    "cancelled": "lock.wait",
    "failed": "lock.wait",
    "released": "lock.hold",
    "lost": "lock.hold",
}


def trace(provider: ProviderBase[Any], tracer: Any = None) -> None:
    """Give spans for all locks of this provider, as children of the span that is current where they end.

    Args:
        provider: any provider of either face.
        tracer: an OpenTelemetry tracer; default: that of `stockade.locks`.

    Raises:
        MissingExtra: opentelemetry is not installed.
    """
    if tracer is None:
        try:
            from opentelemetry import trace as api
        except ImportError as error:
            raise missing("otel", "opentelemetry") from error
        tracer = api.get_tracer("stockade.locks")

    def listen(event: LockEvent) -> None:
        name = _SPANS.get(event.kind)
        if name is None:
            return
        end_ns = time.time_ns()  # spans are dated by the wall clock
        attributes = {"lock.name": event.lock_name, "lock.owner": event.owner, "lock.outcome": event.kind}
        if event.detail:
            attributes["lock.detail"] = event.detail
        span = tracer.start_span(name, start_time=end_ns - round(event.seconds * 1e9), attributes=attributes)
        span.end(end_time=end_ns)

    provider.on_event(listen)
