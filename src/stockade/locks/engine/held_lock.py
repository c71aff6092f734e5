"""A held lock: its tokens, its deadline, how it is lost, and what it notifies then.

`HeldLock` has what awaits nothing and needs no manager. `lock_base.py` adds `detach`; `async_api.py` and `sync_api.py`
add `release`, `extend` and `wait_lost`.
"""

import math
from collections.abc import Callable
from typing import Any, Self

from stockade.locks.checks import function, seconds
from stockade.locks.engine.lock_request import Grant, LockRequest
from stockade.locks.engine.reporter import Reporter
from stockade.locks.errors import LockLost
from stockade.locks.events import log
from stockade.locks.runtime.runtime import Runtime


class HeldLock:
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
        "_loss_wakeups",
        "_reporter",
        "_stop_renewal",
        "acquired_at",
        "block_cancelling",
        "block_task",
        "count",
        "deadline",
        "fencing_token",
        "holder",
        "interrupted",
        "lost_reason",
        "outer",
        "release_begun",
        "released",
        "request",
        "runtime",
    )

    def __init__(
        self,
        runtime: Runtime,
        reporter: Reporter,
        stop_renewal: Callable[[Any], None],
        *,
        request: LockRequest,
        grant: Grant,
        holder: object,
    ) -> None:
        self.runtime = runtime
        self._reporter = reporter
        self._stop_renewal = stop_renewal
        self.request = request
        self.fencing_token, self.deadline = grant.fencing_token, grant.valid_until
        self.acquired_at = runtime.now()
        self.holder = holder  # the task or thread; None: only the lease object itself can release it
        self.count = 1  # how often the holder has acquired it (option `reentrant`)
        self.release_begun = False  # the server may have carried it out already
        self.released = False
        self.lost_reason = ""
        self.outer: Self | None = None  # of a semaphore: an earlier lease of the same holder
        self.block_task: object = None  # to cancel on a loss
        self.block_cancelling = 0  # how often others had cancelled that task before
        self.interrupted = False  # the loss has cancelled that task
        self._callbacks: tuple[Callable[[Any], None], ...] = ()
        self._loss_wakeups: dict[Any, None] = {}  # of `wait_lost`; each operation on it is atomic in Python

    @property
    def name(self) -> str:
        """The name of the lock."""
        return self.request.spec.name

    @property
    def token(self) -> str:
        """The owner id, unique to this grant. The number that a fenced resource compares is `fencing_token`."""
        return self.request.owner_id

    @property
    def lost(self) -> bool:
        """Whether the lock may already belong to somebody else. No I/O.

        The first reading after the lease has run out marks it lost, which calls `on_lost`.
        """
        if not self.lost_reason and not self.released and self.runtime.now() >= self.deadline:
            self.mark_lost("the lease ran out")
        return bool(self.lost_reason)

    @property
    def alive(self) -> bool:
        """Neither released nor lost."""
        return not self.release_begun and not self.released and not self.lost

    def remaining(self) -> float:
        """Seconds until the lease ends unless it is renewed; 0 when it is over."""
        return 0.0 if not self.alive else max(0.0, self.deadline - self.runtime.now())

    def check(self) -> None:
        """Raise unless the lock is still held. No I/O, so it may stand before every step of the work.

        Raises:
            LockLost: the lease ended before it was released, or it was released already.
        """
        if not self.alive:
            raise self.lost_error()

    def on_lost(self, callback: Callable[[Self], None]) -> None:
        """Call `callback(lease)` once when the lease is lost; at once if it is lost already.

        It runs where the loss is noticed: in the loop, or in the renewal thread.

        Raises:
            TypeError: it cannot be called.
        """
        function("callback", callback)
        self._callbacks = (*self._callbacks, callback)
        if self.lost_reason:
            self._notify_lost()

    def lost_error(self) -> LockLost:
        """The error that says how this lease ended."""
        return LockLost(f"lock {self.name!r} is not held: {self.lost_reason or 'it was released'}", self.name)

    def mark_released(self) -> None:
        """Record that it was released or detached, and wake every `wait_lost`."""
        self.released = True
        self._wake_loss_waiters()

    def mark_lost(self, reason: str) -> None:
        """Record the loss, once, and notify: the renewal, the listeners, the block, the callbacks, `wait_lost`."""
        if self.lost_reason or self.released:
            return
        self.lost_reason = reason
        self._stop_renewal(self)
        self._reporter.emit("lost", self.request, self.acquired_at, reason)
        task, self.block_task = self.block_task, None
        if task is not None and task is not self.runtime.caller():  # a task that notices the loss itself goes on
            self.interrupted = self.runtime.interrupt(task)
        self._notify_lost()

    def _notify_lost(self) -> None:
        callbacks, self._callbacks = self._callbacks, ()
        for callback in callbacks:
            try:
                callback(self)
            except (Exception, SystemExit):  # noqa: BLE001 - the other callbacks are called all the same
                log.exception("on_lost callback of lock %r failed", self.name)
        self._wake_loss_waiters()

    def _wake_loss_waiters(self) -> None:
        for wakeup in list(self._loss_wakeups):
            self.runtime.wake(wakeup)

    async def _wait_lost(self, timeout_s: float | None) -> bool:
        """Wait until the lease is lost (True), or released, or the time is up (False).

        Raises:
            TypeError, ValueError: `timeout_s` is no number of seconds, 0 or more.
        """
        if timeout_s is not None:
            seconds("timeout", timeout_s, zero=True, endless=True)
        wakeup = self.runtime.new_wakeup()
        self._loss_wakeups[wakeup] = None
        try:
            if not self.released and not self.lost:
                await self.runtime.wait_for(wakeup, None if timeout_s == math.inf else timeout_s)
        finally:
            self._loss_wakeups.pop(wakeup, None)
        return bool(self.lost_reason)

    def __repr__(self) -> str:
        state = "released" if self.released else f"lost: {self.lost_reason}" if self.lost_reason else "held"
        return f"<{type(self).__name__} {self.name!r} {state}, fencing token {self.fencing_token}>"
