"""A held lock: its token, its deadline, and how the holder learns that it is lost.

`BaseLease` is what both faces share and needs no I/O; `stockade.locks.Lease` and `stockade.locks.aio.Lease` add
`release`, `extend` and `wait_lost` in their manner of calling.
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from stockade.locks.checks import seconds
from stockade.locks.engine.lock_request import Grant, LockRequest
from stockade.locks.errors import LockLost
from stockade.locks.events import log

if TYPE_CHECKING:
    from stockade.locks.engine.manager import LockManager


class Detached(NamedTuple):
    """A lease on its way to another task, thread or process."""

    name: str
    token: str
    fencing_token: int


class BaseLease:
    """One grant of one lock. Made by `acquire`; always truthy.

    Attributes:
        fencing_token: grows with every grant of this name; show it to the resource on your first access.
        acquired_at: monotonic second of the grant.
        deadline: monotonic second until which the server keeps the lock, counted from before the request was
            sent; infinite without a lease.
    """

    __slots__ = (
        "__weakref__",
        "_callbacks",
        "_lost_notices",
        "acquired_at",
        "body",
        "cancelling",
        "count",
        "deadline",
        "due",
        "ended",
        "fencing_token",
        "interrupted",
        "lost_reason",
        "manager",
        "me",
        "outer",
        "released",
        "request",
    )

    def __init__(self, manager: "LockManager[Any]", request: LockRequest, granted: Grant, me: object) -> None:
        self.manager = manager
        self.request = request
        self.fencing_token, self.deadline = granted.fencing_token, granted.valid_until
        self.acquired_at = manager.runtime.now()
        self.me = me
        self.count = 1
        self.ended = False  # the release was begun: the server may have carried it out already
        self.released = False
        self.lost_reason = ""
        self.due = math.inf
        self.outer: Self | None = None
        self.body: object = None
        self.interrupted = False
        self.cancelling = 0
        self._callbacks: tuple[Callable[[BaseLease], None], ...] = ()
        self._lost_notices: dict[Any, None] = {}  # of those who wait for the loss; each step on it is one of Python's

    @property
    def name(self) -> str:
        """The name of the lock."""
        return self.request.spec.name

    @property
    def token(self) -> str:
        """The owner id, unique to this grant."""
        return self.request.owner_id

    @property
    def lost(self) -> bool:
        """Whether the lock may already belong to somebody else. No I/O."""
        if not self.lost_reason and not self.released and self.manager.runtime.now() >= self.deadline:
            self.manager.mark_lost(self, "the lease ran out")
        return bool(self.lost_reason)

    @property
    def alive(self) -> bool:
        """Neither released nor lost."""
        return not self.ended and not self.released and not self.lost

    def remaining(self) -> float:
        """Seconds until the lease ends unless it is renewed; 0 when it is over."""
        return 0.0 if not self.alive else max(0.0, self.deadline - self.manager.runtime.now())

    def check(self) -> None:
        """Raise unless the lock is still held. No I/O, so it may stand before every step of the work.

        Raises:
            LockLost: the lease ended before it was released, or it was released already.
        """
        if not self.alive:
            raise self.lost_error()

    def on_lost(self, callback: Callable[["BaseLease"], None]) -> None:
        """Call `callback(lease)` once when the lease is lost; at once if it is lost already.

        It runs where the loss is noticed: in the loop, or in the renewal thread.
        """
        self._callbacks = (*self._callbacks, callback)
        if self.lost_reason:
            self.notify_lost()

    def detach(self) -> Detached:
        """Stop looking after the lease here, without giving it back; pass the result to `Lock.adopt` elsewhere.

        From now on nobody renews it: adopt it before `remaining()` seconds have passed.

        Raises:
            LockLost: there is nothing to hand over.
        """
        self.check()
        self.manager.forget(self)
        self.released = True
        self.wake_waiters()
        return Detached(self.name, self.token, self.fencing_token)

    def lost_error(self) -> LockLost:
        """The error that says how this lease ended."""
        return LockLost(f"lock {self.name!r} is not held: {self.lost_reason or 'it was released'}", self.name)

    def notify_lost(self) -> None:
        """Run the callbacks, each once, and wake whoever waits for the loss."""
        callbacks, self._callbacks = self._callbacks, ()
        for callback in callbacks:
            try:
                callback(self)
            except (Exception, SystemExit):  # noqa: BLE001 - a callback may not keep the others from being told
                log.exception("on_lost callback of lock %r failed", self.name)
        self.wake_waiters()

    def wake_waiters(self) -> None:
        """End every `wait_lost`: the lease is lost, or was released or detached."""
        for notice in list(self._lost_notices):
            self.manager.runtime.wake(notice)

    async def wait_lost_core(self, timeout_s: float | None) -> bool:
        """Wait until the lease is lost (True), or released, or the time is up (False).

        Raises:
            TypeError, ValueError: `timeout_s` is no number of seconds, 0 or more.
        """
        if timeout_s is not None:
            seconds("timeout", timeout_s, zero=True, endless=True)
        notice = self.manager.runtime.new_wakeup()
        self._lost_notices[notice] = None
        try:
            if not self.released and not self.lost:
                await self.manager.runtime.wait_for(notice, None if timeout_s == math.inf else timeout_s)
        finally:
            self._lost_notices.pop(notice, None)
        return bool(self.lost_reason)

    def __repr__(self) -> str:
        state = "released" if self.released else f"lost: {self.lost_reason}" if self.lost_reason else "held"
        return f"<{type(self).__name__} {self.name!r} {state}, token {self.fencing_token}>"
