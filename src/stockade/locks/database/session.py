"""One database session: its statements run one after another, and one that is not answered ends it.

Neighbours: `pool.py` (all sessions of a provider), `fork.py` (what a child does with its parent's).
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from stockade.core import StockadeError
from stockade.drivers.failures import AccessRefused, Failure, classify, describe
from stockade.locks.database import fork
from stockade.locks.database.dialect import LockDialect
from stockade.locks.database.sources.blocking_connection import DbApiError
from stockade.locks.errors import LockError, LockUnavailable

if TYPE_CHECKING:
    from stockade.locks.database.session_locks import Hold

T = TypeVar("T")
SILENT_S = 1.0  # a session that has not answered for so long gets no new statements while there is another
MAX_SILENCE_S = 30.0  # a session that holds locks without a lease may be silent for so long
_DRIVERS = ("asyncpg", "asyncmy")


class SessionLost(LockUnavailable):
    """The session has ended, and every lock that it held.

    Attributes:
        silent: it was ended here because the server did not answer.
        answered: it was ended here after an error of the server, which may keep its locks for a moment more.
    """

    silent = False
    answered = False


class Session:
    """A connection and the locks that it holds.

    Args:
        connection: the driver's.
        dialect: the kind of database.
        drop: ends the session; called when a statement is not answered in time.
    """

    def __init__(self, connection: Any, dialect: LockDialect, drop: "Callable[[Session, str], None]") -> None:
        self.connection = connection
        self.dialect = dialect
        self.number = dialect.number(connection)
        self.holds: dict[str, Hold] = {}
        self.fresh = True  # no statement was sent yet, so it cannot have been closed while idle
        self.ended = False
        self.pending = 0
        self.opened_at = time.monotonic()
        self.answered_at = -math.inf  # monotonic second of the last answer
        self.ping: asyncio.Task[bool] | None = None
        self._drop = drop
        self._timer: asyncio.TimerHandle | None = None
        self._sent_at = math.inf
        self._silent = False
        self._one_at_a_time = asyncio.Lock()
        self._is_copy = False

    @property
    def silent(self) -> bool:
        """Whether a statement has been without an answer for longer than usual."""
        return time.monotonic() - self._sent_at > SILENT_S

    @property
    def transport(self) -> Any:
        """Of its connection; None when that is closed."""
        return self.dialect.transport(self.connection)

    def reset_in_child(self) -> None:
        """In the child of a fork: the socket is the parent's alone. A child of the child shares nothing."""
        if not self._is_copy:
            self._is_copy = True
            fork.let_go(self.transport)

    @property
    def idle_s(self) -> float:
        """For how many seconds it has held nothing and answered nothing; 0: it is in use."""
        if self.holds or self.pending:
            return 0.0
        return time.monotonic() - max(self.opened_at, self.answered_at)

    @property
    def gone(self) -> bool:
        """Whether it has ended, here or at the other side. No I/O."""
        return self.ended or self.dialect.gone(self.connection)

    def start(self, work: Callable[..., Awaitable[T]], bound_s: float, *args: object) -> "asyncio.Task[T]":
        """Send a statement, `work(connection, *args)`, when those before it were answered.

        The task goes on when its caller does not. It ends with the answer, with LockUnavailable, with LockError (the
        server refused the statement), or with SessionLost: a session without an answer for `bound_s` seconds is ended
        here, or, while it holds locks, after the longest of their leases.
        """
        self.pending += 1
        self.fresh = False
        task = asyncio.get_running_loop().create_task(self._run(work, bound_s, args))
        task.add_done_callback(self._done)
        return task

    async def wait_for(self, statement: "asyncio.Task[Any]", end: float, patience_s: float) -> bool:
        """Wait for a statement of this session until the monotonic second `end`, or longer while the session answers
        those before it. Whether it has ended."""
        while not statement.done():
            left_s = max(end, self.answered_at + patience_s) - time.monotonic()
            if left_s <= 0:
                return False
            await asyncio.wait({statement}, timeout=left_s)
        return True

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self.pending -= 1
        if not task.cancelled():
            task.exception()  # its caller may have gone

    async def _run(self, work: Callable[..., Awaitable[T]], bound_s: float, args: tuple[object, ...]) -> T:
        async with self._one_at_a_time:
            if self.ended:
                raise self._lost("it had ended")
            self._sent_at = time.monotonic()
            self._timer = asyncio.get_running_loop().call_later(bound_s, self._end_or_extend, bound_s)
            try:
                return await work(self.connection, *args)
            except Exception as error:
                if (translated := self._translated(error)) is error:
                    raise
                raise translated from error
            finally:
                self._timer.cancel()
                self._sent_at, self.answered_at = math.inf, time.monotonic()

    def _end_or_extend(self, bound_s: float) -> None:
        """The time is up: end the session, or give it as long as its holders' leases."""
        leases = [hold.request.spec.lease_s for hold in self.holds.values()]
        patience_s = max([bound_s, *(lease_s if lease_s < math.inf else MAX_SILENCE_S for lease_s in leases)])
        left_s = self._sent_at + patience_s - time.monotonic()
        if left_s > 0:
            self._timer = asyncio.get_running_loop().call_later(left_s, self._end_or_extend, bound_s)
            return
        self._silent = True
        self._drop(self, f"the server did not answer for {patience_s:.1f} s")

    def _lost(self, why: str) -> SessionLost:
        lost = SessionLost(f"{self.dialect.kind}: {why}")
        lost.silent = self._silent
        return lost

    def _translated(self, error: Exception) -> Exception:
        if isinstance(error, StockadeError):
            return error
        if self.ended:
            return self._lost("the server did not answer in time" if self._silent else describe(error))
        what = classify(error)
        if what is Failure.LOST:
            lost = self._lost(describe(error))
            lost.answered = not self.gone
            self._drop(self, "its database session ended")
            return lost
        if what is Failure.REFUSED:
            return LockError(f"{self.dialect.kind}: {describe(error)}")
        known = isinstance(error, DbApiError) or type(error).__module__.partition(".")[0] in _DRIVERS
        if what is Failure.OTHER and not known:
            return error
        return LockUnavailable(f"{self.dialect.kind}: {describe(error)}")


def unavailable(kind: str, error: Exception) -> Exception:
    """The error of a connection that could not be made."""
    if isinstance(error, StockadeError):
        return error
    what = classify(error)
    text = describe(error) if isinstance(error, OSError | AccessRefused) else f"{kind}: {describe(error)}"
    if what is Failure.REFUSED:  # a repeat changes nothing
        return LockError(text)
    return error if what is Failure.OTHER else LockUnavailable(text)
