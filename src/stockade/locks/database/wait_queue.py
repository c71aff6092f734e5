"""The callers in this process that want one name, in order of arrival. The server receives the request of the first.

A session may take a lock twice, so two callers over one session would both hold it. This queue keeps them apart: one
name has one holder in this process, and one request on the server.
"""

import asyncio
import math
import time
from typing import TYPE_CHECKING, Any

from stockade.core.grace import GRACE_S
from stockade.locks.engine.lock_request import LockRequest
from stockade.locks.errors import LockError, LockUnavailable

if TYPE_CHECKING:
    from stockade.locks.database.session import Session
    from stockade.locks.database.session_locks import Hold

ANSWER_LATE_S = GRACE_S  # how long after a caller's deadline the server's answer still counts
ANSWER_LEAST_S = 0.15  # what an answer gets although its caller reached this loop late: a healthy server needs less


class SessionWaiter:
    """One caller. Its future gets the grant, or None: another owner has the lock and the time is up."""

    __slots__ = ("began", "deadline", "future", "received", "request")

    def __init__(self, request: LockRequest, deadline: float, began: float) -> None:
        self.request = request
        self.deadline = deadline
        self.began = began  # monotonic second of the call
        self.future: asyncio.Future[Hold | None] = asyncio.get_running_loop().create_future()
        self.received = False


class WaitQueue:
    """All callers of one name.

    Attributes:
        holder: the holder in this process.
        requester: the task that queries the server, or hands the lock over to the next caller here.
        elsewhere: the server's last answer was that another session has it.
        answer_due: monotonic second until which the server must have answered; None while no statement is in flight.
        answered_at: monotonic second of the server's last answer, or of the last release here.
        patience_end: monotonic second at which a server without an answer counts as silent.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.waiters: dict[str, SessionWaiter] = {}
        self.holder: Hold | None = None
        self.requester: asyncio.Task[Any] | None = None
        self.elsewhere = False
        self.answer_due: float | None = None
        self.answered_at = -math.inf
        self.session: Session | None = None  # of the last statement
        self.patience_end = 0.0
        self._emptied: asyncio.Future[None] | None = None

    @property
    def first(self) -> SessionWaiter | None:
        """The caller that has waited longest, of those that have no answer yet."""
        return next((waiter for waiter in self.waiters.values() if not waiter.future.done()), None)

    @property
    def taken(self) -> bool:
        """Whether it is known that the lock is held, and no statement in flight may change that."""
        if self.holder is not None:
            return True
        return self.elsewhere and (self.answer_due is None or self.answer_due > time.monotonic() + ANSWER_LATE_S)

    @property
    def alive_at(self) -> float:
        """Monotonic second of the last answer for this name, or to its session."""
        return self.answered_at if self.session is None else max(self.answered_at, self.session.answered_at)

    def longest_wait_s(self) -> float:
        """Seconds until the last of the deadlines."""
        return max((waiter.deadline for waiter in self.waiters.values()), default=0.0) - time.monotonic()

    def emptied(self) -> "asyncio.Future[None]":
        """Done when no caller waits any more."""
        if self._emptied is None or self._emptied.done():
            self._emptied = asyncio.get_running_loop().create_future()
            if not self.waiters:
                self._emptied.set_result(None)
        return self._emptied

    def remove(self, waiter: SessionWaiter) -> None:
        """It waits no more."""
        if self.waiters.get(waiter.request.owner_id) is waiter:
            del self.waiters[waiter.request.owner_id]
        if not self.waiters and self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)

    def restart_patience(self, patience_s: float) -> None:
        """From now on the server has `patience_s` seconds for its next answer."""
        self.patience_end = time.monotonic() + patience_s

    def mark_elsewhere(self) -> None:
        """The server answered that another session has it: callers without time left get that answer."""
        self.elsewhere, self.answer_due, self.answered_at = True, None, time.monotonic()
        self.expire()

    def expire(self) -> None:
        """Give None to the callers whose time is up."""
        now = time.monotonic()
        for waiter in self.waiters.values():
            if waiter.deadline <= now and not waiter.future.done():
                waiter.future.set_result(None)

    def fail(self, error: Exception) -> None:
        """The server did not answer, or refused: each caller gets an error of its own."""
        for waiter in [*self.waiters.values()]:
            if not waiter.future.done():
                waiter.future.set_exception(_copy(error, self.name))
            self.remove(waiter)


def _copy(error: Exception, name: str) -> Exception:
    """An error has one traceback, so each caller gets its own."""
    if isinstance(error, LockError):
        kind = LockUnavailable if isinstance(error, LockUnavailable) else type(error)
        return kind(str(error), name)
    made: Any = type(error)
    try:
        return made(*error.args)  # type: ignore[no-any-return]
    except TypeError:  # it wants other arguments: the same error for all
        return error
