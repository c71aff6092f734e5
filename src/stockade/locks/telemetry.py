"""Locks as OpenTelemetry spans: `lock.wait` for every wait, `lock.hold` for every hold.

Neighbour: `events.py` (the events).
"""

from typing import Any

from stockade.locks.errors import missing
from stockade.locks.events import LockEvent
from stockade.locks.provider_base import ProviderBase

_WAIT_ENDS = ("acquired", "timeout", "cancelled", "failed")
_HOLD_ENDS = ("released", "lost", "abandoned")


def trace(provider: ProviderBase[Any, Any, Any, Any], tracer: Any = None) -> None:
    """Make spans for all locks of this provider, as children of the span that is current where they begin.

    Args:
        provider: any provider, for threads or for asyncio.
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

    provider.on_event(_Spans(tracer))


class _Spans:
    """The open spans, by the owner id of their request."""

    def __init__(self, tracer: Any) -> None:
        self._tracer = tracer
        self._waits: dict[str, Any] = {}
        self._holds: dict[str, Any] = {}

    def __call__(self, event: LockEvent) -> None:
        if event.kind == "asked":
            self._waits[event.owner] = self._begin("lock.wait", event)
        elif event.kind in _WAIT_ENDS:
            self._end(self._waits, event)
        elif event.kind in _HOLD_ENDS:
            self._end(self._holds, event)
        if event.kind == "acquired":
            self._holds[event.owner] = self._begin("lock.hold", event)

    def _begin(self, name: str, event: LockEvent) -> Any:
        return self._tracer.start_span(name, attributes={"lock.name": event.lock_name, "lock.owner": event.owner})

    @staticmethod
    def _end(spans: dict[str, Any], event: LockEvent) -> None:
        span = spans.pop(event.owner, None)
        if span is None:  # it began before `trace`, or is a repeated release
            return
        span.set_attribute("lock.outcome", event.kind)
        if event.detail:
            span.set_attribute("lock.detail", event.detail)
        span.end()
