"""Events of locks, as values for metrics and traces. `telemetry.py` makes spans of them."""

import logging
from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias

log = logging.getLogger("stockade.locks")

WaitEnd: TypeAlias = Literal["acquired", "timeout", "cancelled", "failed"]
HoldEnd: TypeAlias = Literal["released", "lost", "abandoned"]
EventKind: TypeAlias = Literal["asked", "renewed", "renew_failed", "polling"] | WaitEnd | HoldEnd


class LockEvent(NamedTuple):
    """One event of one lock.

    Attributes:
        kind: what happened. "polling": the user may not subscribe at the server, so waiters of this process poll.
        lock_name: of which lock.
        owner: owner id of the request or lease.
        seconds: the time of the wait for acquired, timeout, cancelled and failed; the time of the hold for released
            and lost; otherwise 0.
        detail: a reason, for people.
    """

    kind: EventKind
    lock_name: str
    owner: str
    seconds: float = 0.0
    detail: str = ""


Listener: TypeAlias = Callable[[LockEvent], None]


class Events:
    """The listeners of one provider. An error of a listener is logged: it may not break a lock."""

    def __init__(self) -> None:
        self.listeners: tuple[Listener, ...] = ()

    def add(self, listener: Listener) -> None:
        """Call `listener` with every event, in the task or thread where it happens; it must be quick."""
        self.listeners = (*self.listeners, listener)

    def emit(self, event: LockEvent) -> None:
        """Call every listener."""
        for listener in self.listeners:
            try:
                listener(event)
            except (Exception, SystemExit):
                log.exception("a listener failed on %s", event)
