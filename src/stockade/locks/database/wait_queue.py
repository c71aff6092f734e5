"""The callers in this process that want one name, in order of arrival; the first of them is asked for on the server.

A server's session may take a lock twice, so that two holders of one session would both be let in. This queue keeps
them apart: one name has one holder here, and one request on the server.
"""

import asyncio
import math
import time
from typing import TYPE_CHECKING, Any

from stockade.locks.engine.lock_request import LockRequest
from stockade.locks.errors import LockError, LockUnavailable

if TYPE_CHECKING:
    from stockade.locks.database.session import Session
    from stockade.locks.database.session_locks import Hold

GRACE_S = 0.4  # how long an answer of the server may come after a caller's time is up
ANSWER_LEAST_S = 0.15  # what an answer gets although its caller came late to this loop: a good server needs less


class Waiter:
    """One caller. Its future gets the grant, or None: somebody else has the lock and the time is up."""

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
        driver: the task that asks the server, or hands the lock over to the next caller here.
        elsewhere: the server's last answer was that another session has it.
        answer_due: monotonic second until which the server must have answered; None while nothing was asked.
        answered_at: monotonic second of the server's last answer, or of the last release here.
        patience_end: monotonic second at which a server without an answer counts as silent.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.waiters: dict[str, Waiter] = {}
        self.holder: Hold | None = None
        self.driver: asyncio.Task[Any] | None = None
        self.elsewhere = False
        self.answer_due: float | None = None
        self.answered_at = -math.inf
        self.asked: Session | None = None  # the session that was asked last
        self.patience_end = 0.0
        self._emptied: asyncio.Future[None] | None = None

    @property
    def first(self) -> Waiter | None:
        """The caller that has waited longest, of those that have no answer yet."""
        return next((waiter for waiter in self.waiters.values() if not waiter.future.done()), None)

    @property
    def taken(self) -> bool:
        """Whether it is known that somebody has the lock, with no answer under way that may say otherwise."""
        if self.holder is not None:
            return True
        return self.elsewhere and (self.answer_due is None or self.answer_due > time.monotonic() + GRACE_S)

    @property
    def alive_at(self) -> float:
        """Monotonic second of the last answer that this name, or its session, has had."""
        return self.answered_at if self.asked is None else max(self.answered_at, self.asked.answered_at)

    def longest_wait_s(self) -> float:
        """Seconds until the last of the deadlines."""
        return max((waiter.deadline for waiter in self.waiters.values()), default=0.0) - time.monotonic()

    def emptied(self) -> "asyncio.Future[None]":
        """Done when nobody waits any more."""
        if self._emptied is None or self._emptied.done():
            self._emptied = asyncio.get_running_loop().create_future()
            if not self.waiters:
                self._emptied.set_result(None)
        return self._emptied

    def remove(self, waiter: Waiter) -> None:
        """It waits no more."""
        if self.waiters.get(waiter.request.owner_id) is waiter:
            del self.waiters[waiter.request.owner_id]
        if not self.waiters and self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)

    def was_answered(self, patience_s: float) -> None:
        """The server has answered; the next answer may take `patience_s` seconds."""
        self.patience_end = time.monotonic() + patience_s

    def is_elsewhere(self) -> None:
        """The server said so: it is the answer for callers without time left."""
        self.elsewhere, self.answer_due, self.answered_at = True, None, time.monotonic()
        self.expire()

    def expire(self) -> None:
        """Answer those whose time is up."""
        now = time.monotonic()
        for waiter in self.waiters.values():
            if waiter.deadline <= now and not waiter.future.done():
                waiter.future.set_result(None)

    def fail(self, error: Exception) -> None:
        """The server did not answer, or refused: everybody who waits gets an error of his own."""
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
