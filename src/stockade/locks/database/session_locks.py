"""The locks of one provider in one event loop: the holders with their sessions, and the waiting callers.

Each wanted name has one task, its requester, which works for the first caller. It tries over a shared session, then
waits at the server over a waiting session, or tries again in intervals while none is free. It goes on when that caller
leaves while others stay. When the last one leaves, its statement on the server is interrupted, and a grant without a
caller is released. Neighbours: `wait_queue.py` (callers), `acquirer.py` (statements), `pool.py` (sessions).
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from stockade.locks.database.acquirer import Acquirer, SessionGrant
from stockade.locks.database.dialect import LockDialect
from stockade.locks.database.pool import SessionPool
from stockade.locks.database.session import Session, SessionLost
from stockade.locks.database.wait_queue import ANSWER_LATE_S, ANSWER_LEAST_S, SessionWaiter, WaitQueue
from stockade.locks.engine.lock_request import Holder, LockInfo, LockRequest
from stockade.locks.errors import LockError, LockUnavailable, ProviderClosed

T = TypeVar("T")
_HAND_OVERS = 8  # from caller to caller in this process, before the server may choose another process
_HAND_OVER_S = 0.1  # and not later than so long after the server's grant
_CLOSE_S = 0.3  # how long tasks may take to end after their sessions were ended


class Hold:
    """One grant: the request, the session that holds it, its fencing token, and the second before it was requested.

    Attributes:
        hand_overs: how often it was handed over in this process since the server granted it.
        granted_at: monotonic second of that grant.
    """

    __slots__ = ("fencing_token", "granted_at", "hand_overs", "release_task", "request", "sent_at", "session")

    def __init__(self, grant: SessionGrant, before: "Hold | None" = None) -> None:
        self.request, self.session, self.fencing_token, self.sent_at = grant
        self.release_task: asyncio.Task[bool] | None = None
        self.hand_overs: int = before.hand_overs + 1 if before else 0
        self.granted_at: float = before.granted_at if before else grant.sent_at

    @property
    def may_be_handed_over(self) -> bool:
        """Whether the next caller of this process may have it before callers of other processes."""
        return self.hand_overs < _HAND_OVERS and time.monotonic() < self.granted_at + _HAND_OVER_S


class SessionLocks:
    """Mutexes over a bounded number of sessions. All methods run in one event loop.

    Args:
        dialect: the kind of database.
        connections: at most so many.
        patience_s: what has no time limit of its own ends after so many seconds without an answer.
        on_lost: called with owner ids and the reason when a session ended that held their locks.
    """

    def __init__(
        self, dialect: LockDialect, connections: int, patience_s: float, on_lost: Callable[[list[str], str], None]
    ) -> None:
        self.pool = SessionPool(dialect, connections, patience_s, self._lost)
        self._acquirer = Acquirer(self.pool, dialect, connections + 1, patience_s)
        self.holds: dict[str, Hold] = {}
        self.queues: dict[str, WaitQueue] = {}
        self._dialect = dialect
        self._tries = connections + 1  # each may meet a session that was closed while idle; the last one is fresh
        self._patience_s = patience_s
        self._on_lost = on_lost
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def in_use(self) -> bool:
        """Whether anything is held or awaited."""
        return bool(self.holds or self.queues)

    async def acquire(self, request: LockRequest, deadline: float, began: float) -> Hold | None:
        """Wait for a grant until the monotonic second `deadline`; one that has passed: try once. A request that is
        not `blocking` has no time limit but `patience_s`. `began` is the second of the call. None: not granted.

        Raises:
            LockError: the server did not answer (LockUnavailable), or refused and would refuse again.
        """
        if self.pool.closed:
            raise ProviderClosed()
        name = request.spec.name
        queue = self.queues.get(name)
        if queue is None:
            queue = self.queues[name] = WaitQueue(name)
        elif queue.taken and deadline <= time.monotonic():
            return None
        waiter = queue.waiters[request.owner_id] = SessionWaiter(request, deadline, began)
        self._start_requester(queue)
        try:
            return await self._outcome(queue, waiter)
        finally:
            self._left(queue, waiter)

    async def _outcome(self, queue: WaitQueue, waiter: SessionWaiter) -> Hold | None:
        """The grant, or None, or an error: at most ANSWER_LATE_S after the deadline."""
        if waiter.deadline == math.inf:
            await self._unlimited(queue, waiter)
        else:
            await self._limited(queue, waiter)
            if not waiter.future.done():
                return None
        granted = await waiter.future
        waiter.received = True
        return granted

    async def _limited(self, queue: WaitQueue, waiter: SessionWaiter) -> None:
        """Wait until the deadline, and ANSWER_LATE_S longer while it is not known that the lock is held."""
        wait_s = waiter.deadline - time.monotonic()
        if wait_s > 0:
            await asyncio.wait({waiter.future}, timeout=wait_s)
        if waiter.future.done() or queue.taken:
            return
        end = waiter.deadline + ANSWER_LATE_S if waiter.request.blocking else waiter.began + self._patience_s
        await asyncio.wait({waiter.future}, timeout=max(end - time.monotonic(), ANSWER_LEAST_S))
        if not waiter.future.done():
            raise self._no_answer(time.monotonic() - waiter.began, queue.name)

    async def _unlimited(self, queue: WaitQueue, waiter: SessionWaiter) -> None:
        """Wait while the lock is held in this process, or the server answers."""
        limit_s, arrived = self._patience_s + ANSWER_LATE_S, time.monotonic()
        while not waiter.future.done():
            left_s = limit_s
            if queue.holder is None or queue.holder.release_task is not None:
                end = max(max(queue.alive_at, waiter.began) + limit_s, arrived + ANSWER_LEAST_S)
                left_s = end - time.monotonic()
            if left_s <= 0:
                raise self._no_answer(limit_s, queue.name)
            await asyncio.wait({waiter.future}, timeout=left_s)

    def _no_answer(self, within_s: float, name: str = "") -> LockUnavailable:
        if self._dialect.given and not self.pool.sessions:
            return self._dialect.no_connection(within_s)
        return LockUnavailable(f"{self._dialect.kind}: no answer within {within_s:.1f} s", name)

    def _left(self, queue: WaitQueue, waiter: SessionWaiter) -> None:
        """The caller has its answer, or has gone."""
        queue.remove(waiter)
        future = waiter.future
        if future.done() and not future.cancelled() and future.exception() is None:
            hold = future.result()
            if hold is not None and not waiter.received:
                self._start_release(hold)
        self._tidy(queue)

    def _tidy(self, queue: WaitQueue) -> None:
        unused = not queue.waiters and queue.holder is None and queue.requester is None
        if unused and self.queues.get(queue.name) is queue:
            del self.queues[queue.name]

    def _spawn(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # its caller reads it, too

    # --- requesting a name from the server

    def _start_requester(self, queue: WaitQueue) -> None:
        if queue.requester is None and queue.holder is None and queue.first is not None:
            queue.requester = self._spawn(self._request_from_server(queue))

    async def _request_from_server(self, queue: WaitQueue) -> None:
        try:
            while queue.holder is None and queue.first is not None:
                queue.restart_patience(self._patience_s)
                queue.elsewhere = False
                grant = await self._acquirer.try_acquire(queue)
                if grant is None and queue.first is not None:
                    grant = await self._acquirer.wait_for(queue)
                if grant is not None:
                    await self._grant(queue, grant)
        except Exception as error:  # noqa: BLE001 - every caller gets it
            queue.fail(error)
        finally:
            queue.requester, queue.elsewhere, queue.answer_due = None, False, None
            self._start_requester(queue)  # for callers that came while the earlier ones got the error
            self._tidy(queue)

    async def _grant(self, queue: WaitQueue, grant: SessionGrant, before: Hold | None = None) -> None:
        """Grant the lock to the first caller; without one, release it."""
        try:
            while (first := queue.first) is not None and first.request is not grant.request:
                grant = await self._acquirer.record_owner(queue, grant.session, grant.request)
        except Exception:
            self.pool.return_waiting_session(grant.session)
            raise
        hold = Hold(grant, before)
        if grant.session.ended:
            raise SessionLost(f"{self._dialect.kind}: the session ended with the grant")
        queue.holder = self.holds[hold.request.owner_id] = grant.session.holds[hold.request.owner_id] = hold
        if first is None:
            self._start_release(hold)
            return
        first.future.set_result(hold)
        queue.remove(first)
        queue.expire()

    # --- releasing

    def _start_release(self, hold: Hold) -> "asyncio.Task[bool]":
        if hold.release_task is None:
            hold.release_task = self._spawn(self._release_or_hand_over(hold))
            if (queue := self.queues.get(hold.request.spec.name)) is not None:
                queue.answered_at = time.monotonic()  # from now on the server must answer, not the holder
        return hold.release_task

    async def _release_or_hand_over(self, hold: Hold) -> bool:
        queue = self.queues.get(hold.request.spec.name)
        if queue is None or queue.holder is not hold or queue.first is None or not hold.may_be_handed_over:
            return await self._release_at_server(hold)
        queue.requester = hold.release_task  # no other task queries the server meanwhile
        try:
            return await self._hand_over(queue, hold)
        finally:
            queue.requester = None
            self.pool.return_waiting_session(hold.session)
            self._start_requester(queue)
            self._tidy(queue)

    async def _hand_over(self, queue: WaitQueue, hold: Hold) -> bool:
        """Make the next caller here the owner: one statement, where a release and a new request take three."""
        hold.session.holds.pop(hold.request.owner_id, None)
        queue.restart_patience(self._patience_s)
        try:
            grant = await self._acquirer.record_owner(queue, hold.session, hold.request)
        except SessionLost as lost:
            if lost.silent:
                raise
            return False
        except LockError:  # `record_owner` has released it, or has ended the session
            return not hold.session.ended
        finally:
            self._forget(hold)
        try:
            await self._grant(queue, grant, hold)
        except LockError:
            return True  # it concerns the next caller, whose request is sent anew
        return True

    async def _release_at_server(self, hold: Hold) -> bool:
        name, session = hold.request.spec.name, hold.session
        session.holds.pop(hold.request.owner_id, None)
        try:
            statement = session.start(self._dialect.release, self._patience_s, name, not session.holds)
            await asyncio.wait({statement})  # ends: with its answer, or its session
            return statement.result()
        except SessionLost as lost:
            if lost.silent:
                raise
            return False  # a session that has ended holds nothing
        except LockError:
            self.pool.drop(session, "it could not release a lock")
            raise
        finally:
            self._forget(hold)
            self.pool.return_waiting_session(session)

    def _forget(self, hold: Hold) -> None:
        """It is released; the next caller is served."""
        owner_id, name = hold.request.owner_id, hold.request.spec.name
        if self.holds.get(owner_id) is hold:
            del self.holds[owner_id]
        queue = self.queues.get(name)
        if queue is not None and queue.holder is hold:
            queue.holder, queue.answered_at = None, time.monotonic()
            self._start_requester(queue)
            self._tidy(queue)

    async def release(self, owner_id: str, began: float) -> bool:
        """Release what this owner holds. False: nothing, or its session had ended. `began`: see `acquire`.

        Raises:
            LockUnavailable: the server did not answer; the release goes on by itself.
        """
        hold = self.holds.get(owner_id)
        if hold is None:
            return False
        release_task = self._start_release(hold)
        return await self._await_release(hold, release_task, began)

    def _end(self, began: float) -> float:
        """Monotonic second until which a call without a time limit of its own waits for its answer."""
        return max(began + self._patience_s, time.monotonic() + ANSWER_LEAST_S)

    async def _await_release(self, hold: Hold, release_task: "asyncio.Task[bool]", began: float) -> bool:
        if not await hold.session.wait_for(release_task, self._end(began), self._patience_s):
            raise self._no_answer(self._patience_s, hold.request.spec.name)
        return release_task.result()

    def _lost(self, owner_ids: list[str], reason: str) -> None:
        for owner_id in owner_ids:
            if (hold := self.holds.get(owner_id)) is not None:
                self._forget(hold)
        self._on_lost(owner_ids, reason)

    # --- looking after what is held, and looking at it

    async def extend(self, owner_ids: Sequence[str], timeout_s: float) -> list[bool | None]:
        """Whether the session of each still answers; None: not within `timeout_s` seconds, and the patience.

        Raises:
            LockUnavailable: none of them answered.
        """
        timeout_s = min(timeout_s, self._patience_s)
        holds = [self.holds.get(owner_id) for owner_id in owner_ids]
        pings = {hold.session: self._ping(hold.session) for hold in holds if hold is not None}
        if pings:
            await asyncio.wait(set(pings.values()), timeout=timeout_s)
        answers = [False if hold is None else self._is_alive(pings[hold.session], hold.session) for hold in holds]
        if all(answer is None for answer in answers):
            raise next(filter(None, map(_refusal, pings.values())), self._no_answer(timeout_s))
        return answers

    def _ping(self, session: Session) -> "asyncio.Task[bool]":
        """Asked once for all locks of the session, also while an older one is unanswered."""
        if session.ping is None or session.ping.done():
            session.ping = session.start(self._dialect.ping, self._patience_s)
        return session.ping

    def _is_alive(self, ping: "asyncio.Task[bool]", session: Session) -> bool | None:
        error = ping.exception() if ping.done() else None
        if not ping.done() or (error is not None and not isinstance(error, SessionLost)):
            return None
        if error is None and ping.result():
            return True
        self.pool.drop(session, "the server no longer knew its session")
        return False

    async def _call(self, end: float, work: Callable[..., Awaitable[T]], *args: object) -> T:
        """A statement of no lock in particular; again on a fresh session after one that was closed while idle."""
        for left in reversed(range(self._tries)):
            session = await self.pool.shared_session(end)
            was_fresh = session.fresh
            statement = session.start(work, self._patience_s, *args)
            if not await session.wait_for(statement, end, self._patience_s):
                raise self._no_answer(self._patience_s)
            try:
                return statement.result()
            except SessionLost as lost:
                if was_fresh or lost.silent or not left:
                    raise
        raise AssertionError("the last try raises or returns")

    async def inspect(self, name: str, began: float) -> LockInfo:
        """Holders and waiters; of other processes the sessions that wait on the server. `began`: see `acquire`."""
        seen = await self._call(self._end(began), self._dialect.list_sessions, name)
        queue, own = self.queues.get(name), {session.number for session in self.pool.sessions}
        holders = []
        for each in seen:
            if each.granted and each.session in own and queue is not None and queue.holder is not None:
                hold = queue.holder
                holders.append(Holder(hold.request.owner_id, hold.fencing_token, math.inf, hold.request.spec.metadata))
            elif each.granted:
                holders.append(Holder(each.owner, each.fencing_token, math.inf, each.metadata))
        here = list(queue.waiters) if queue is not None else []
        there = [each.owner for each in seen if not each.granted and each.session not in own]
        return LockInfo(name, tuple(holders), (*here, *there))

    async def break_(self, name: str, began: float) -> bool:
        """Take it from its holder: released here, its session ended elsewhere. `began`: see `acquire`."""
        queue = self.queues.get(name)
        if queue is not None and queue.holder is not None:
            hold = queue.holder
            release_task = self._start_release(hold)
            self._on_lost([hold.request.owner_id], "it was broken")
            return await self._await_release(hold, release_task, began)
        end = self._end(began)
        holders = [each.session for each in await self._call(end, self._dialect.list_sessions, name) if each.granted]
        for session in holders:
            await self._call(end, self._dialect.end_session, session)
        return bool(holders)

    async def close(self) -> None:
        """End every session and every task."""
        for queue in [*self.queues.values()]:
            queue.fail(ProviderClosed())
        await self.pool.close()
        if self._tasks:
            await asyncio.wait({*self._tasks}, timeout=_CLOSE_S)
        for task in self._tasks:
            task.cancel()
        self.holds.clear()


def _refusal(statement: "asyncio.Task[Any]") -> LockError | None:
    """The error of a refusal that will not pass."""
    error = statement.exception() if statement.done() else None
    return error if isinstance(error, LockError) and not isinstance(error, LockUnavailable) else None
