"""The connections of one provider in one event loop: a bounded number, in two parts.

Half of them, at least one, are *shared*: they carry short statements (a try, a release, `inspect`) and the locks that
a try was granted. They never wait on the server, so a release is never behind a waiter. The others are
*waiting sessions*: each waits at the server for one name, holds the lock when it is granted, and is free for the next
name after its release.

Neighbours: `session.py` (one of them), `session_locks.py` and `acquirer.py` (which send the statements).
"""

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Callable, Hashable
from typing import Any

from stockade.drivers.failures import describe
from stockade.locks.database import fork
from stockade.locks.database.dialect import LockDialect
from stockade.locks.database.session import Session, unavailable
from stockade.locks.errors import LockUnavailable, ProviderClosed
from stockade.locks.events import log
from stockade.locks.runtime import leftover
from stockade.locks.runtime.identity import reset_after_fork

POLL_S = 0.05  # how often a name without a waiting session is tried
POLLS_A_SECOND = 500.0  # of all names without a waiting session together
MAX_POLL_S = 2.0
_BUSY = 3  # so many statements pending at a shared session: one more session is opened
_CLOSE_S = 0.3  # how long connections that are being made may take to end
_CHECK_S = 1.0  # how often sessions are checked, for drivers that do not report an end
_IDLE_S = 0.25  # after which a session of the caller's pool goes back to it


class SessionPool:
    """Shared sessions and waiting sessions.

    Args:
        dialect: the kind of database.
        limit: connections at most.
        patience_s: a connection is made, and a statement answered, within so many seconds.
        on_lost: called with the owner ids of the locks that a session held when it ended, and the reason.
    """

    def __init__(
        self, dialect: LockDialect, limit: int, patience_s: float, on_lost: Callable[[list[str], str], None]
    ) -> None:
        self.dialect = dialect
        self.closed = False
        self._patience_s = patience_s
        self._on_lost = on_lost
        self._shared_limit = max(1, limit // 2)
        self._waiting_limit = limit - self._shared_limit
        self._shared_sessions: list[Session] = []
        self._waiting_sessions: list[Session] = []
        self._free: deque[Session] = deque()
        self._opening_waiting = 0
        self._opening: asyncio.Task[Session] | None = None
        self._openings: set[asyncio.Task[Session]] = set()
        self._requests: dict[Hashable, asyncio.Future[Session]] = {}
        self._check_timer: asyncio.TimerHandle | None = None
        self._check_s = _IDLE_S if dialect.given else _CHECK_S
        self._going_back: set[asyncio.Task[None]] = set()

    @property
    def sessions(self) -> list[Session]:
        """All that are open."""
        return [*self._shared_sessions, *self._waiting_sessions]

    async def shared_session(self, end: float) -> Session:
        """A session for a short statement.

        Args:
            end: monotonic second until which to wait for a connection.

        Raises:
            LockUnavailable: none could be made in time.
        """
        for session in [*self._shared_sessions]:
            if session.gone:
                self.drop(session, "its database session ended")
        usable = [session for session in self._shared_sessions if not session.silent]
        may_open = len(self._shared_sessions) < self._shared_limit
        if usable or not may_open:
            best = min(usable or self._shared_sessions, key=lambda session: session.pending)
            if may_open and best.pending >= _BUSY and self._opening is None:
                self._open_shared()
            return best
        opening = self._opening or self._open_shared()
        await asyncio.wait({opening}, timeout=max(end - time.monotonic(), 0.0))
        if not opening.done():
            raise self.no_connection()
        return opening.result()

    def no_connection(self) -> LockUnavailable:
        """The error of a call for which there was no connection."""
        return self.dialect.no_connection(self._patience_s)

    def _open_shared(self) -> "asyncio.Task[Session]":
        self._opening = self._start_to_open(self._shared_sessions)
        return self._opening

    def _start_to_open(self, part: list[Session]) -> "asyncio.Task[Session]":
        if self.closed:
            raise ProviderClosed()
        task = asyncio.get_running_loop().create_task(self._open(part))
        self._openings.add(task)
        task.add_done_callback(self._opened)
        return task

    def _opened(self, task: "asyncio.Task[Session]") -> None:
        self._openings.discard(task)
        if task is self._opening:
            self._opening = None
        else:
            self._opening_waiting -= 1
        if not task.cancelled():
            task.exception()  # its caller may have gone

    async def _open(self, part: list[Session]) -> Session:
        try:
            connection = await self.dialect.connect(self._ended, self._patience_s)
        except Exception as error:
            if (translated := unavailable(self.dialect.kind, error)) is error:
                raise
            raise translated from error
        if self.closed:
            self.dialect.abort(connection)
            raise ProviderClosed()
        session = Session(connection, self.dialect, self.drop)
        reset_after_fork(session)
        part.append(session)
        if self._check_timer is None:
            self._check_timer = asyncio.get_running_loop().call_later(self._check_s, self._check)
        return session

    def free_waiting_session(self) -> Session | None:
        """An unused waiting session."""
        while self._free:
            session = self._free.popleft()
            if not session.gone:
                return session
            self.drop(session, "its database session ended")
        return None

    @property
    def can_open_waiting_session(self) -> bool:
        """Whether one more connection is allowed."""
        return len(self._waiting_sessions) + self._opening_waiting < self._waiting_limit

    async def open_waiting_session(self, end: float) -> Session:
        """One more waiting session. Errors as for `shared_session`."""
        opening = self._start_to_open(self._waiting_sessions)
        self._opening_waiting += 1
        await asyncio.wait({opening}, timeout=max(end - time.monotonic(), 0.0))
        if opening.done():
            return opening.result()
        opening.add_done_callback(self._return_late)
        raise self.no_connection()

    def order_waiting_session(self) -> None:
        """One more waiting session, assigned like one that was returned, whenever the caller's pool gives it."""
        opening = self._start_to_open(self._waiting_sessions)
        self._opening_waiting += 1
        opening.add_done_callback(self._return_late)

    def _return_late(self, task: "asyncio.Task[Session]") -> None:
        if not task.cancelled() and task.exception() is None:
            self.return_waiting_session(task.result())

    def request_waiting_session(self, key: Hashable) -> "asyncio.Future[Session]":
        """A waiting session when one becomes free, in order of request; the same future until `cancel_request`."""
        if key not in self._requests:
            self._requests[key] = asyncio.get_running_loop().create_future()
        return self._requests[key]

    def cancel_request(self, key: Hashable) -> None:
        """Withdraw the request; a session that was assigned meanwhile goes to the next name."""
        future = self._requests.pop(key, None)
        if future is not None and future.done():
            self.return_waiting_session(future.result())

    def accept_waiting_session(self, key: Hashable) -> None:
        """The assigned session is used."""
        self._requests.pop(key, None)

    def poll_s(self) -> float:
        """How long a name without a waiting session pauses between two tries."""
        return min(max(POLL_S, len(self._requests) / POLLS_A_SECOND), MAX_POLL_S) * random.uniform(0.75, 1.25)

    def return_waiting_session(self, session: Session) -> None:
        """Assign it to the name that requested one first, unless it holds a lock. Ignores shared sessions."""
        if session.ended or session.holds or session not in self._waiting_sessions or session in self._free:
            return
        for future in self._requests.values():
            if not future.done():
                future.set_result(session)
                return
        self._free.append(session)

    def _ended(self, connection: Any) -> None:
        for session in self.sessions:
            if session.connection is connection:
                self.drop(session, "its database session ended")

    def _check(self) -> None:
        self._check_timer = None
        for session in self.sessions:
            if session.gone:
                self.drop(session, "its database session ended")
        if self.dialect.must_purge_tokens():
            unused = [session for session in self._shared_sessions if not session.pending]
            for session in unused[:1]:
                session.start(self.dialect.purge_tokens, self._patience_s).add_done_callback(self._purged)
        if self.dialect.given:
            self._return_idle()
        if self.sessions and not self.closed:
            self._check_timer = asyncio.get_running_loop().call_later(self._check_s, self._check)

    def _purged(self, task: "asyncio.Task[None]") -> None:
        """Nobody waits for it, so its error is logged: without it the table grows and nobody knows."""
        if not self.closed and not task.cancelled() and (error := task.exception()) is not None:
            log.warning("%s: old fencing tokens stay, until the next try: %s", self.dialect.kind, describe(error))

    def _return_idle(self) -> None:
        """Give unused sessions back. One shared session stays while another one waits on the server: it carries the
        interrupt that ends such a wait."""
        for session in [*self._free]:
            if session.idle_s >= _IDLE_S:
                self._give_back(session)
        waits = any(session.pending for session in self._waiting_sessions)
        for session in self._shared_sessions[1:] if waits else [*self._shared_sessions]:
            if session.idle_s >= _IDLE_S:
                self._give_back(session)

    def _give_back(self, session: Session) -> None:
        self._take_out(session)
        task = asyncio.get_running_loop().create_task(self._clean(session))
        self._going_back.add(task)
        task.add_done_callback(lambda task: self._went_back(session, task))

    def _went_back(self, session: Session, task: "asyncio.Task[None]") -> None:
        """Its owner must not get it half cleaned, nor never, when the event loop ended meanwhile."""
        self._going_back.discard(task)
        if task.cancelled():
            session.ended = True
            self.dialect.abort(session.connection)

    async def _clean(self, session: Session) -> None:
        """Give the connection back as it came; one that cannot be cleaned is closed."""
        try:
            await session.start(self.dialect.clean, self._patience_s, self._ended)
            session.ended = True
            await self.dialect.give_back(session.connection)
        except Exception as error:  # noqa: BLE001 - whatever it was: its owner must not get it as it is
            log.warning("%s: a connection of the given pool was closed: %s", self.dialect.kind, describe(error))
            session.ended = True
            self.dialect.abort(session.connection)

    def _take_out(self, session: Session) -> None:
        for part in (self._shared_sessions, self._waiting_sessions, self._free):
            if session in part:
                part.remove(session)

    def drop(self, session: Session, reason: str) -> None:
        """End a session at once, and report the locks that it held as lost."""
        if session.ended:
            return
        session.ended = True
        self._take_out(session)
        self.dialect.abort(session.connection)
        owner_ids = list(session.holds)
        session.holds.clear()
        if owner_ids:
            self._on_lost(owner_ids, reason)

    async def close(self) -> None:
        """End every session."""
        self.closed = True
        if self._check_timer is not None:
            self._check_timer.cancel()
        for session in self.sessions:
            if self.dialect.given and not session.pending and not session.gone:
                owner_ids = list(session.holds)
                session.holds.clear()
                self._give_back(session)
                self._on_lost(owner_ids, "the provider was closed")
            else:
                self.drop(session, "the provider was closed")
        for opening in self._openings:
            opening.cancel()
        if self._going_back:
            await asyncio.wait({*self._going_back}, timeout=_CLOSE_S)
        if self._openings:
            await asyncio.wait({*self._openings}, timeout=_CLOSE_S)
        await asyncio.sleep(0)  # the loop closes aborted sockets in its next tick

    def abandon(self, *, loop_closed: bool) -> None:
        """Forget every session, from outside their event loop, which is closed or has no use for them."""
        self.closed = True
        for session in self.sessions:
            session.ended = True
            if not loop_closed:
                fork.shut(session.transport)
                continue
            leftover.end(session.transport)
            with contextlib.suppress(RuntimeError):  # the driver resets its own state; the loop is gone
                self.dialect.abort(session.connection)
