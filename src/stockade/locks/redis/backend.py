"""Locks on one Redis server: fair by a queue inside the server, or by polling ("spin").

Fair: the acquire script takes the lock, or adds the request to the server's queue. The release script makes the first
live waiter the owner and wakes it alone. So a hand-over costs two requests, however many callers wait; Redisson's
fair lock needs seven. A notice only saves time: every waiter also queries the server, and a lost notice costs at most
`poll_s`. Neighbours: `scripts/*.lua` (the rules), `waiters.py` (the callers that wait here), `transport/`.
"""

import math
import random
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any

from stockade.locks.engine.lock_request import (
    CLOSING_PARTS,
    ChangesLoop,
    Grant,
    Kind,
    LockInfo,
    LockRequest,
    Spec,
)
from stockade.locks.engine.release_retry import ReleaseRetry
from stockade.locks.errors import LockError, LockUnavailable, ProviderClosed
from stockade.locks.events import Events, log
from stockade.locks.redis.calls import AcquireReply, Query, Space, Verb, channel_of, prepared
from stockade.locks.redis.key_names import lease_ms, names_of
from stockade.locks.redis.scan import LocksInUse, info_of, scan
from stockade.locks.redis.script import refuse, script, translated
from stockade.locks.redis.transport.transport import Server, ServerError, Transport
from stockade.locks.redis.tuning import RedisTuning
from stockade.locks.redis.waiters import NoticeWaiter, NoticeWaiters
from stockade.locks.runtime.runtime import Runtime

_QUEUE_TTL_MS = 60_000  # after which the server forgets a queue that nobody uses
_CALL_LEAST_S = 0.15  # what a call gets although its deadline is near: a healthy server answers in that time
_LAST_CALL_S = 0.05  # of the last one after others were slow: less would cost a slow link its connection
_LATE_S = 0.25  # after its deadline: no call of an acquire takes longer than until then, however many there are
_WITHDRAW_S = 0.25  # for how long a caller waits for a withdrawal; then it is repeated in the background
_AFTER_LEASE_S = 0.002  # after the end of another's lease; rounding must not make the query early
_OTHERS_ASK = 4.0  # who is not first in line asks only every so many poll intervals: to stay in the line
_PAUSE_LEAST = 0.25  # of a poll interval: the shortest sleep, so that a late query is no busy loop
_QUERIES_MISSED = 3.0  # an entry of the line is dropped after so many poll intervals without a query
_POLL_S = 0.1  # mean pause between two queries of a waiter that no notice can reach
_RETRY_PAUSE_S = 0.05  # mean pause before an unreachable server is tried again
_HOLDER_ONLY = (0, 0)  # flags of the release script: release what the owner holds
_ALSO_QUEUED = (1, 0)  # and remove its entry from the queue
_ANY_HOLDER = (0, 1)  # release it whoever holds it


class RedisBackend:
    """Mutexes, read/write locks and semaphores on one server."""

    needs_lease = True

    def __init__(self, runtime: Runtime, transport: Transport, tuning: RedisTuning) -> None:
        self._runtime = runtime
        self._server = transport
        self._tuning = tuning
        self.patience_s = tuning.patience_s
        self.where: str = getattr(transport, "where", "")  # the simulator's has none
        self.events = Events()
        self._call_s = min(tuning.call_s, tuning.bound_s)
        self._space = Space(tuning.prefix, tuning.token_ttl_ms)
        self._waiters = NoticeWaiters(runtime, transport, channel_of(tuning.prefix), self.events)
        self._release_retry = ReleaseRetry(runtime, self._release, _in_order)

    # -- acquire --------------------------------------------------------------------------------------------------

    async def acquire(self, request: LockRequest, deadline: float) -> Grant | None:
        granted = None
        try:
            if self._release_retry.is_pending(request.owner_id):
                end = deadline if request.blocking else math.inf
                await self._release_retry.cancel(request.owner_id, self._limit(end, self._runtime.now()))
            if not request.spec.fair:
                granted = await self._spin(request, deadline, self._tuning.spin_s)
            elif self._waiters.must_poll:
                granted = await self._spin(request, deadline, _POLL_S)
            elif self._waiters.subscribed and deadline > self._runtime.now():
                granted = await self._queue_and_wait(request, deadline)
            else:
                granted = await self._try_then_wait(request, deadline)
            if granted is not None and self._tuning.wait_replicas:
                granted = await self._wait_for_replicas(request, granted, deadline)
        except LockUnavailable as error:
            if granted is not None:
                self._runtime.run_to_end(self._withdraw(request))
            elif error.sent:  # the server may have run the script, or may run it later
                self.release_later(request)
            raise
        except BaseException:
            self._runtime.run_to_end(self._withdraw(request))
            raise
        return granted

    def _limit(self, deadline: float, now: float) -> float:
        """Seconds that a call may take from now on: an answer after the caller's deadline is of no use."""
        call_s, left_s = self._call_s, deadline - now
        if left_s >= call_s:
            return call_s
        late_s = max(min(_CALL_LEAST_S, left_s + _LATE_S), _LAST_CALL_S)
        return min(call_s, max(left_s, late_s))

    def _raise_if_closed(self, request: LockRequest) -> None:
        if self._waiters.closed:
            raise ProviderClosed(lock_name=request.spec.name)

    async def _spin(self, request: LockRequest, deadline: float, mean_pause_s: float) -> Grant | None:
        while True:
            sent = self._runtime.now()
            reply = await self._acquire_or_retry(request, sent, deadline, queue=False)
            if reply.fencing_token:
                return Grant(reply.fencing_token, sent + request.spec.lease_s)
            self._raise_if_closed(request)
            now = self._runtime.now()
            if now >= deadline:
                return None
            pause_s = mean_pause_s * random.uniform(0.5, 1.5)
            await self._runtime.sleep(min(pause_s, deadline - now))

    async def _try_then_wait(self, request: LockRequest, deadline: float) -> Grant | None:
        """One try; then, if there is time, subscribe to the notices and join the server's queue."""
        sent = self._runtime.now()
        reply = await self._acquire_or_retry(request, sent, deadline, queue=False)
        if reply.fencing_token:
            return Grant(reply.fencing_token, sent + request.spec.lease_s)
        if deadline <= sent:
            return None
        await self._subscribe(deadline)
        if self._waiters.must_poll:
            return await self._spin(request, deadline, min(_POLL_S, self._tuning.poll_s))
        return await self._queue_and_wait(request, deadline)

    async def _subscribe(self, deadline: float) -> None:
        now = self._runtime.now()
        end = min(deadline, now + self._tuning.bound_s)
        while True:
            try:
                return await self._waiters.listen(self._limit(end, now))
            except LockUnavailable as error:
                error.sent = False  # of the request: it has not joined the queue yet
                now = self._runtime.now() + _RETRY_PAUSE_S
                if now >= end:
                    raise
            await self._runtime.sleep(_RETRY_PAUSE_S)

    async def _queue_and_wait(self, request: LockRequest, deadline: float) -> Grant | None:
        """Take the lock, or join the server's queue and wait for the notice."""
        waiter = self._waiters.add(request)
        try:
            sent = self._runtime.now()
            heartbeat = waiter.needs_heartbeat(min(self._tuning.poll_s, request.spec.lease_s / 2))
            reply = await self._acquire_or_retry(request, sent, deadline, queue=True, heartbeat=heartbeat)
            if reply.fencing_token:
                return Grant(reply.fencing_token, sent + request.spec.lease_s)
            granted = await self._wait_for_notice(waiter, Query(sent, reply, heartbeat), deadline)
        finally:
            self._waiters.remove(waiter)
        if granted is None:  # it is in the queue, or was granted in this moment: leave both
            if self._runtime.now() + _CALL_LEAST_S < deadline + _LATE_S:
                await self._withdraw(request, deadline + _LATE_S - self._runtime.now())
            else:  # its last call took long
                self.release_later(request)
        return granted

    async def _wait_for_notice(self, waiter: NoticeWaiter, last: Query, deadline: float) -> Grant | None:
        """Sleep until the notice, the next query or the deadline, whichever is first.

        Args:
            waiter: of a request in the server's queue.
            last: the query that the server answered with "wait".
            deadline: monotonic second.
        """
        request, queue = waiter.request, self._waiters.enqueue(waiter)
        poll_s = min(self._tuning.poll_s, request.spec.lease_s / 2)
        sent, reply, heartbeat = last
        while True:
            if heartbeat:
                queue.record_heartbeat(sent)
            query_at = sent + (min(poll_s, reply.wait_ms / 1000 + _AFTER_LEASE_S) if reply.wait_ms else poll_s)
            while True:
                self._raise_if_closed(request)
                now = self._runtime.now()
                if waiter.fencing_token and now - sent <= request.spec.lease_s / 2:
                    # granted after `sent`, when the answer still was to wait: the lease counts from there
                    return Grant(waiter.fencing_token, sent + request.spec.lease_s)
                if waiter.fencing_token:  # too long ago to know how much of the lease is left: a query begins it anew
                    waiter.fencing_token = 0
                    break
                if now >= deadline:
                    return None
                if waiter.recheck or (now >= query_at and (waiter.is_first or now >= sent + _OTHERS_ASK * poll_s)):
                    waiter.recheck = False
                    break
                await waiter.sleep(min(deadline, max(query_at, now + _PAUSE_LEAST * poll_s)) - now)
            sent, heartbeat = self._runtime.now(), True
            reply = await self._acquire_or_retry(request, sent, deadline, queue=True, again=True, heartbeat=True)
            if reply.fencing_token:
                return Grant(reply.fencing_token, sent + request.spec.lease_s)

    async def _acquire_or_retry(
        self,
        request: LockRequest,
        sent: float,
        deadline: float,
        *,
        queue: bool,
        again: bool = False,
        heartbeat: bool = False,
    ) -> AcquireReply:
        """Run the acquire script, again while the server is out of reach; it is safe to repeat."""
        give_up = min(deadline, sent + self._tuning.patience_s)
        end = min(deadline, sent + self._tuning.bound_s) if request.blocking else math.inf
        heartbeat_ms = round(1_000 * _QUERIES_MISSED * self._tuning.poll_s) if heartbeat else 0
        now = sent
        while True:
            try:
                flags = (int(queue), int(again), heartbeat_ms, _QUEUE_TTL_MS)
                return AcquireReply.of(int(await self._run(request, "acquire", flags, self._limit(end, now))))
            except LockUnavailable as error:
                again = error.sent = again or error.sent
                self._raise_if_closed(request)
                pause_s = _RETRY_PAUSE_S * random.uniform(0.5, 1.5)
                now = self._runtime.now() + pause_s
                if now >= give_up:
                    error.lock_name = request.spec.name
                    raise
            await self._runtime.sleep(pause_s)

    def _run(
        self, request: LockRequest, verb: Verb, flags: tuple[int, ...], timeout_s: float
    ) -> Coroutine[Any, Any, Any]:
        """Run a script of one lock."""
        return prepared(self._space, request.spec, verb, flags).run(self._server, request.owner_id, timeout_s)

    async def _server_of(self, name: str, timeout_s: float) -> Server:
        """The server of this lock; found within `timeout_s` seconds."""
        return self._server

    async def _wait_for_replicas(self, request: LockRequest, granted: Grant, deadline: float) -> Grant:
        """Write, then WAIT. Replication is one stream: a replica that has this write has the grant before it, too."""
        sent, wanted = self._runtime.now(), self._tuning.wait_replicas
        end = min(deadline, sent + self._tuning.bound_s) if request.blocking else math.inf
        if await self.extend([request], self._limit(end, sent)) != [True]:
            raise LockUnavailable("the grant was lost before it was replicated", request.spec.name)
        bound_s = self._limit(end, self._runtime.now())
        server = await self._server_of(request.spec.name, bound_s)
        wait_ms = round(min(bound_s, request.spec.lease_s) * 500)
        try:
            have = await server.call("WAIT", wanted, wait_ms, timeout_s=bound_s)
        except ServerError as error:
            raise translated(error) from error
        if not isinstance(have, int):
            await refuse(server, have)
        if have < wanted:
            raise LockUnavailable(f"{have} of {wanted} replicas have the grant", request.spec.name)
        return replace(granted, valid_until=sent + request.spec.lease_s)

    # -- release --------------------------------------------------------------------------------------------------

    async def release(self, request: LockRequest) -> bool:
        try:
            return int(await self._run(request, "release", _HOLDER_ONLY, self._call_s)) == 1
        except LockUnavailable:
            self.release_later(request)
            raise

    def release_later(self, request: LockRequest) -> None:
        lease_s = 0.0 if request.spec.lease_s == math.inf else request.spec.lease_s
        self._release_retry.retry(request, [self._server], self._runtime.now() + lease_s + self._tuning.patience_s)

    async def release_briefly(self, request: LockRequest) -> None:
        await self._release_within(request, _WITHDRAW_S)

    async def _release_within(self, request: LockRequest, limit_s: float) -> None:
        try:
            await self._release(self._server, request, limit_s)
        except LockUnavailable:
            self.release_later(request)
            raise

    async def _release(self, server: Server, request: LockRequest, timeout_s: float) -> None:
        """Leave the queue and the lock. Same connection as the acquire, so the server runs it after that."""
        await self._run(request, "release", _ALSO_QUEUED, min(self._call_s, timeout_s))

    async def _withdraw(self, request: LockRequest, limit_s: float = _WITHDRAW_S) -> None:
        """`release_briefly` for a caller that does not need the result."""
        try:
            await self._release_within(request, min(limit_s, _WITHDRAW_S))
        except LockUnavailable:  # it is repeated in the background
            return
        except ProviderClosed:  # the process ends: the lease will
            return
        except LockError as refused:  # it would be refused again: the queue entry and the lease end by themselves
            log.warning("lock %r is left to the end of its lease: %s", request.spec.name, refused)

    # -- the rest -------------------------------------------------------------------------------------------------

    async def extend(self, requests: Sequence[LockRequest], timeout_s: float) -> list[bool | None]:
        timeout_s = min(timeout_s, self._call_s)
        mutexes = [request for request in requests if request.spec.kind == "lock"]
        kept: dict[str, bool | None] = {}
        if mutexes:
            names = [names_of(self._tuning.prefix, request.spec.name, "lock").keys for request in mutexes]
            keys = tuple(key for four in names for key in (four[0], four[3], four[2]))
            leases = (part for request in mutexes for part in (request.owner_id, lease_ms(request.spec.lease_s)))
            args = (self._space.token_ttl_ms, *leases)
            answers = await script("mutex_renew").run(self._server, keys, args, timeout_s)
            if len(answers) != len(mutexes):
                await refuse(self._server, answers)
            kept = {request.owner_id: answer == 1 for request, answer in zip(mutexes, answers, strict=True)}
        for request in requests:
            if request.spec.kind != "lock":
                kept[request.owner_id] = await self._extend_share(request, timeout_s)
        return [kept[request.owner_id] for request in requests]

    async def _extend_share(self, request: LockRequest, timeout_s: float) -> bool:
        call = prepared(self._space, request.spec, "renew", ())
        return int(await call.run(self._server, request.owner_id, timeout_s)) == 1

    async def inspect(self, name: str, kind: Kind) -> LockInfo:
        reply = await self._run(LockRequest(Spec(name, kind), "-"), "inspect", (), self._call_s)
        try:
            return info_of(name, kind, reply)
        except (TypeError, ValueError):  # a list, but another one
            await refuse(self._server, reply)

    async def scan(self, max_keys: int) -> LocksInUse:
        """The locks of this prefix that are in use; ends after `max_keys` keys of the server."""
        return await scan(self._server, self._tuning.prefix, max_keys=max_keys, timeout_s=self._call_s)

    async def break_(self, name: str, kind: Kind) -> bool:
        return int(await self._run(LockRequest(Spec(name, kind), "-.-"), "release", _ANY_HOLDER, self._call_s)) == 1

    async def raise_fence(self, name: str, at_least: int) -> None:
        fence = names_of(self._tuning.prefix, name, "lock").keys[2]
        await script("raise_fence").run(self._server, (fence,), (at_least, self._space.token_ttl_ms), self._call_s)

    def change_loop(self) -> None:
        """In another event loop: forget the waiters and connections of the old one."""
        self._waiters.change_loop()
        self._release_retry.change_loop()
        if isinstance(self._server, ChangesLoop):
            self._server.change_loop()

    def cancel_waits(self) -> None:
        self._waiters.cancel_waits()

    async def close(self) -> None:
        await self._release_retry.close(self.patience_s / CLOSING_PARTS)
        await self._server.close()


async def _in_order(works: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
    """For one server: an error ends them all."""
    return [await work for work in works]
