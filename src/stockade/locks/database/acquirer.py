"""Gets a lock from the server for the first caller of a queue: one try, then a wait there, or more tries.

Whatever the server does, the callers get an answer in time. A later answer of the server is still awaited, since it
may be a grant. Neighbours: `session_locks.py` (who holds what), `pool.py` (the sessions).
"""

import asyncio
import time
from typing import Any, NamedTuple, TypeVar

from stockade.locks.database.dialect import LockDialect
from stockade.locks.database.pool import SessionPool
from stockade.locks.database.session import Session, SessionLost
from stockade.locks.database.wait_queue import WaitQueue
from stockade.locks.engine.lock_request import LockRequest
from stockade.locks.errors import LockError, LockUnavailable

T = TypeVar("T")
_WAIT_SHARE = 0.6  # of the patience: how long a statement waits on the server; the rest is for its answer to arrive
_INTERRUPT_S = 2.0  # how long an interrupted statement may take to end


class SessionGrant(NamedTuple):
    """A grant of the server to `request`; `sent_at` is the monotonic second before the statement was sent."""

    request: LockRequest
    session: Session
    fencing_token: int
    sent_at: float


class Acquirer:
    """Sends the statements of one name at a time.

    Args:
        pool: the sessions.
        dialect: the statements.
        tries: over so many sessions at most, as each may have been closed while it was idle.
        patience_s: within so many seconds each statement is answered.
    """

    def __init__(self, pool: SessionPool, dialect: LockDialect, tries: int, patience_s: float) -> None:
        self._pool = pool
        self._dialect = dialect
        self._tries = tries
        self._patience_s = patience_s

    async def try_acquire(self, queue: WaitQueue) -> SessionGrant | None:
        """Try once for the first caller, over a shared session; over a fresh one after sessions closed while idle."""
        refused: SessionLost | None = None
        for left in reversed(range(self._tries)):
            session = await self._pool.shared_session(queue.patience_end)
            if (first := queue.first) is None:
                return None
            request, sent_at, was_fresh = first.request, time.monotonic(), session.fresh
            queue.answer_due = sent_at
            try:
                statement = session.start(self._dialect.try_acquire, self._patience_s, request)
                fencing_token = await self._answer(queue, session, statement)
            except SessionLost as lost:
                if was_fresh or lost.silent or not left:
                    raise
                refused = lost if lost.answered else refused
                continue
            except LockError:
                await self._make_sure_it_is_free(session, queue.name)
                raise
            queue.restart_patience(self._patience_s)
            if fencing_token is not None:
                return SessionGrant(request, session, fencing_token, sent_at)
            if refused is not None:  # the lock may still be held by the session that was ended a moment ago
                raise refused
            queue.mark_elsewhere()
            return None
        raise AssertionError("the last try raises or returns")

    async def _answer(self, queue: WaitQueue, session: Session, statement: "asyncio.Task[T]") -> T:
        """The answer. When it is late the callers get an error; it is still awaited, since it may be a grant. If it
        never comes, its session ends."""
        queue.session = session
        if not await session.wait_for(statement, queue.patience_end, self._patience_s):
            queue.fail(LockUnavailable(f"{self._dialect.kind}: no answer within {self._patience_s:.1f} s"))
            await asyncio.wait({statement})
            queue.restart_patience(self._patience_s)
        return statement.result()

    async def _make_sure_it_is_free(self, session: Session, name: str) -> None:
        """After an error a session may hold the lock or not; one that cannot release it is ended."""
        try:
            await session.start(self._dialect.release, self._patience_s, name, not session.holds)
        except LockError:
            self._pool.drop(session, "it could not release a lock")

    async def wait_for(self, queue: WaitQueue) -> SessionGrant | None:
        """Wait until another session releases the lock. None: no caller waits here any more."""
        may_lose = True
        try:
            while queue.first is not None:
                session = await self._waiting_session(queue)
                if session is None:
                    grant = await self.try_acquire(queue)
                else:
                    try:
                        grant = await self._wait_on(queue, session)
                    except SessionLost as lost:
                        if lost.silent or not may_lose:
                            raise
                        may_lose, grant = False, await self.try_acquire(queue)
                    else:
                        may_lose = True
                if grant is not None:
                    return grant
            return None
        finally:
            self._pool.cancel_request(queue)

    async def _waiting_session(self, queue: WaitQueue) -> Session | None:
        """A session to wait on the server with; None after a pause, when it is time to try again without one."""
        if (session := self._pool.free_waiting_session()) is not None:
            return session
        if self._pool.can_open_waiting_session and self._dialect.given:
            self._pool.order_waiting_session()  # the application may keep it for long: the tries go on meanwhile
        elif self._pool.can_open_waiting_session:
            try:
                return await self._pool.open_waiting_session(queue.patience_end)
            except LockUnavailable:
                # the server may allow no more connections; the next try shows whether it answers at all
                if time.monotonic() >= queue.patience_end:
                    raise
        coming = self._pool.request_waiting_session(queue)
        await _first_of({coming, queue.emptied()}, self._pool.poll_s())
        if not coming.done():
            queue.restart_patience(self._patience_s)  # the pause was ours
            return None
        self._pool.accept_waiting_session(queue)
        return coming.result()

    async def _wait_on(self, queue: WaitQueue, session: Session) -> SessionGrant | None:
        grant = None
        try:
            grant = await self._wait_on_server(queue, session)
        finally:
            if grant is None:
                self._pool.return_waiting_session(session)
        return grant

    async def _wait_on_server(self, queue: WaitQueue, session: Session) -> SessionGrant | None:
        """One statement that waits, at most for as long as the server may be silent."""
        first = queue.first
        if first is None:
            return None
        request, started = first.request, time.monotonic()
        wait_s = min(self._patience_s * _WAIT_SHARE, max(queue.longest_wait_s(), 0.001))
        queue.answer_due = started + wait_s
        waiting = session.start(self._dialect.wait, self._patience_s, request, wait_s)
        await _first_of({waiting, queue.emptied()})  # ends: the session's bound
        if not waiting.done():
            await self._interrupt(session, waiting)
        granted = waiting.result()
        queue.restart_patience(self._patience_s)
        if not granted:
            queue.mark_elsewhere()
            if time.monotonic() - started < min(wait_s, self._pool.poll_s()):  # the server counts whole seconds
                await asyncio.sleep(self._pool.poll_s())
            return None
        return await self.record_owner(queue, session, request)

    async def record_owner(self, queue: WaitQueue, session: Session, request: LockRequest) -> SessionGrant:
        """Make the first caller the owner of a lock that the session holds."""
        first = queue.first
        request, sent_at = first.request if first is not None else request, time.monotonic()
        try:
            statement = session.start(self._dialect.record_owner, self._patience_s, request)
            fencing_token = await self._answer(queue, session, statement)
        except SessionLost:
            raise
        except LockError:
            await self._make_sure_it_is_free(session, queue.name)
            raise
        return SessionGrant(request, session, fencing_token, sent_at)

    async def _interrupt(self, session: Session, waiting: "asyncio.Task[bool]") -> None:
        """End a wait whose callers have gone, over another session. Ends `session` if that fails."""
        end, interrupting = time.monotonic() + _INTERRUPT_S, None
        try:
            helper = await self._pool.shared_session(end)
            interrupting = helper.start(self._dialect.interrupt, _INTERRUPT_S, session.number)
        except LockError:
            end = 0.0
        await asyncio.wait({waiting}, timeout=max(end - time.monotonic(), 0.0))
        if not waiting.done():
            self._pool.drop(session, "a wait could not be interrupted")
            await asyncio.wait({waiting})  # ends: its connection is gone
        elif interrupting is not None and not session.ended:  # the wait ended by itself: the interrupt is still to come
            await asyncio.wait({interrupting}, timeout=max(end - time.monotonic(), 0.0))
            if not interrupting.done() or interrupting.exception() is not None:  # it may end any later statement
                self._pool.drop(session, "an interrupt was not answered")
        if not session.ended:
            await asyncio.wait({session.start(self._dialect.ping, _INTERRUPT_S)})  # a late interrupt ends this one


async def _first_of(futures: "set[asyncio.Future[Any]]", timeout_s: float | None = None) -> None:
    await asyncio.wait(futures, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
