"""Reports what happens to requests and leases as events, each with its duration. The values: `events.py`."""

from stockade.locks.engine.lock_request import LockRequest
from stockade.locks.events import EventKind, Events, LockEvent
from stockade.locks.runtime.runtime import Runtime


class Reporter:
    """Emits the events of one provider.

    Args:
        runtime: its clock.
        events: the listeners.
    """

    def __init__(self, runtime: Runtime, events: Events) -> None:
        self._runtime = runtime
        self._events = events

    def emit(self, kind: EventKind, request: LockRequest, since: float | None = None, detail: str = "") -> None:
        """Report `kind`; it took from the monotonic second `since` until now (None: no duration)."""
        if self._events.listeners:
            seconds = 0.0 if since is None else self._runtime.now() - since
            self._events.emit(LockEvent(kind, request.spec.name, request.owner_id, seconds, detail))
