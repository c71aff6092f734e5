"""Locks as OpenTelemetry spans (`lock.wait` for every wait, `lock.hold` for every hold) and as Prometheus metrics.

Neighbour: `events.py` (the events).
"""

from typing import Any

from stockade.locks.errors import MissingExtra, missing
from stockade.locks.events import LockEvent
from stockade.locks.provider_base import ProviderBase

_WAIT_ENDS = ("acquired", "timeout", "cancelled", "failed")
_HOLD_ENDS = ("released", "lost", "abandoned")
_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


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


class LockMetrics:
    """Prometheus metrics of the locks of some providers, for any application.

    `stockade_lock_wait_seconds{provider,outcome}` is a histogram of the waits: acquired, timeout, cancelled, failed.
    `stockade_lock_hold_seconds{provider,outcome}` is one of the holds: released, lost, abandoned (of which the time is
    not known, so it counts as 0). `stockade_lock_trouble_total{provider,event}` counts what a holder survives:
    renew_failed, release_failed, polling. No label holds the name of a lock, so their number is bounded.

    Args:
        registry: of prometheus_client; default: its global one. A registry takes one LockMetrics.

    Raises:
        MissingExtra: prometheus_client is not installed.
    """

    def __init__(self, registry: Any = None) -> None:
        try:
            from prometheus_client import REGISTRY, Counter, Histogram
        except ImportError as error:
            raise MissingExtra("prometheus_client is not installed: pip install prometheus-client") from error
        own = REGISTRY if registry is None else registry
        self._waits = Histogram(
            "stockade_lock_wait_seconds",
            "Time that requests for locks waited, by provider and outcome.",
            ("provider", "outcome"),
            buckets=_BUCKETS_S,
            registry=own,
        )
        self._holds = Histogram(
            "stockade_lock_hold_seconds",
            "Time that locks were held, by provider and how it ended.",
            ("provider", "outcome"),
            buckets=_BUCKETS_S,
            registry=own,
        )
        self._trouble = Counter(
            "stockade_lock_trouble",
            "Renewals and releases that failed, and waiters that poll because they may not subscribe.",
            ("provider", "event"),
            registry=own,
        )

    def observe(self, provider: ProviderBase[Any, Any, Any, Any], name: str = "") -> None:
        """Count all locks of this provider from now on.

        Args:
            provider: any provider, for threads or for asyncio.
            name: the label `provider`; default: the class of the provider, e.g. `RedisLocks`.
        """
        provider.on_event(_Counted(self._waits, self._holds, self._trouble, name or type(provider).__name__))


class _Counted:
    """Counts the events of one provider. The children of the labels are kept: they are few."""

    def __init__(self, waits: Any, holds: Any, trouble: Any, name: str) -> None:
        self._waits = {end: waits.labels(name, end) for end in _WAIT_ENDS}
        self._holds = {end: holds.labels(name, end) for end in _HOLD_ENDS}
        self._trouble = {event: trouble.labels(name, event) for event in ("renew_failed", "release_failed", "polling")}
        self._waiting: set[str] = set()  # owner ids: "failed" is also the event of a release

    def __call__(self, event: LockEvent) -> None:
        kind = event.kind
        if kind == "asked":
            self._waiting.add(event.owner)
        elif kind in self._waits:
            if event.owner in self._waiting:
                self._waiting.discard(event.owner)
                self._waits[kind].observe(event.seconds)
            else:
                self._trouble["release_failed"].inc()
        elif kind in self._holds:
            self._holds[kind].observe(event.seconds)
        elif kind in self._trouble:
            self._trouble[kind].inc()
