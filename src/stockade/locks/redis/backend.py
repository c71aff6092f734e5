"""Locks on one Redis server: fair by a queue inside the server, or spinning.

Fair: one script takes the lock or stands in line; the releaser's script makes the head live waiter the owner and
wakes it alone, so that a hand-over costs two requests however many wait (measured; Redisson's fair lock
needs 7). A notice is only ever a hint that saves time: every waiter asks again now and then, so a lost one costs
at most `poll_s`. Neighbours: `scripts/*.lua` (the rules), `waitroom.py` (who waits here), `wire/` (connections).
"""

import math
import random
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stockade.locks.checks import count, seconds, text
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
from stockade.locks.redis.calls import Verb, channel_of, prepared
from stockade.locks.redis.key_names import lease_ms, names_of
from stockade.locks.redis.scan import Survey, info_of, survey
from stockade.locks.redis.script import refuse, script, translated
from stockade.locks.redis.transport.transport import Transport
from stockade.locks.redis.waiters import Wait, WaitRoom
from stockade.locks.runtime.runtime import Runtime, Server, ServerError

_LINE_MS = 60_000
_CALL_LEAST_S = 0.15  # what a call gets although its deadline is near: a server that is well answers in that time
_ONE_ROUND_S = 0.4  # what a call without a time limit gets although `patience_s` is shorter, or 0: nothing is repeated
_WITHDRAW_S = 0.25  # for how long a caller waits for a withdrawal; then it is repeated in the background
_UNHEARD_S = 0.1  # mean pause between two questions of a waiter that can hear no notices
_RETRY_PAUSE_S = 0.05  # mean pause before an unreachable server is tried again
_PLAINLY = (0, 0)  # do not leave the line, do not take it from another
_LEAVING, _BREAKING = (1, 0), (0, 1)


@dataclass(frozen=True, slots=True)
class RedisTuning:
    """Times of the Redis provider.

    Attributes:
        prefix: put before every name.
        spin_s: mean pause between two tries of a lock that is not fair (seed 004: 10 ms), jittered by half.
        poll_s: how often a waiter asks again although no notice came; a lost notice costs at most this.
        call_s: how long one call may take; less when the caller's own time limit, or `patience_s`, ends before.
        patience_s: how long an unreachable server is tried again before LockUnavailable; the bound of every call that
            has no time limit of its own. 0: nothing is tried again, and a call gets 0.4 s.
        wait_replicas: how many replicas must have a grant before it counts (WAIT); 0: none.
    """

    prefix: str = ""
    spin_s: float = 0.010
    poll_s: float = 1.0
    call_s: float = 2.0
    patience_s: float = 3.0
    wait_replicas: int = 0

    def __post_init__(self) -> None:
        text("prefix", self.prefix)
        for name in ("spin_s", "poll_s", "call_s"):
            seconds(name, getattr(self, name))
        seconds("patience_s", self.patience_s, zero=True)
        count("wait_replicas", self.wait_replicas, 0)

    @property
    def bound_s(self) -> float:
        """The bound of a call that has no time limit of its own, in seconds."""
        return max(self.patience_s, _ONE_ROUND_S)


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
        self._room = WaitRoom(runtime, transport, channel_of(tuning.prefix), self.events)
        self._release_retry = ReleaseRetry(runtime, self._pay, _one)

    # -- acquire --------------------------------------------------------------------------------------------------

    async def acquire(self, request: LockRequest, deadline: float) -> Grant | None:
        granted = None
        try:
            if self._release_retry.is_pending(request.owner_id):
                end = deadline if request.blocking else math.inf
                await self._release_retry.cancel(request.owner_id, self._limit(end, self._runtime.now()))
            if not request.spec.fair:
                granted = await self._spin(request, deadline, self._tuning.spin_s)
            elif self._room.refused and self._room.deaf:
                granted = await self._spin(request, deadline, _UNHEARD_S)
            elif self._room.listening and deadline > self._runtime.now():
                granted = await self._wait_turn(request, deadline)
            else:
                granted = await self._try_first(request, deadline)
            if granted is not None and self._tuning.wait_replicas:
                granted = await self._replicated(request, granted, deadline)
        except LockUnavailable as error:
            if granted is not None:
                self._runtime.run_to_end(self._withdraw(request))
            elif error.sent:  # it may have been carried out, or may be yet, by a server that is silent now
                self.release_later(request)
            raise
        except BaseException:
            self._runtime.run_to_end(self._withdraw(request))
            raise
        return granted

    def _limit(self, deadline: float, now: float) -> float:
        """Seconds that a call may take from now on: an answer that comes after the caller's time is of no use."""
        call_s, left_s = self._call_s, deadline - now
        return call_s if left_s >= call_s else min(call_s, max(left_s, _CALL_LEAST_S))

    def _go_on(self, request: LockRequest) -> None:
        """Raise ProviderClosed if its caller should not wait any longer."""
        if self._room.closed:
            raise ProviderClosed(lock_name=request.spec.name)

    async def _spin(self, request: LockRequest, deadline: float, mean_pause_s: float) -> Grant | None:
        while True:
            sent = self._runtime.now()
            answer = await self._patiently(request, sent, deadline, queue=False)
            if answer > 0:
                return Grant(answer, sent + request.spec.lease_s)
            self._go_on(request)
            now = self._runtime.now()
            if now >= deadline:
                return None
            pause_s = mean_pause_s * random.uniform(0.5, 1.5)
            await self._runtime.sleep(min(pause_s, deadline - now))

    async def _try_first(self, request: LockRequest, deadline: float) -> Grant | None:
        """One try; stand in line after it only if there is time, and once this process can hear notices."""
        sent = self._runtime.now()
        answer = await self._patiently(request, sent, deadline, queue=False)
        if answer > 0:
            return Grant(answer, sent + request.spec.lease_s)
        if deadline <= sent:
            return None
        await self._listen(deadline)
        if self._room.deaf:
            return await self._spin(request, deadline, min(_UNHEARD_S, self._tuning.poll_s))
        return await self._wait_turn(request, deadline)

    async def _listen(self, deadline: float) -> None:
        now = self._runtime.now()
        end = min(deadline, now + self._tuning.bound_s)
        while True:
            try:
                return await self._room.listen(self._limit(end, now))
            except LockUnavailable as error:
                error.sent = False  # of the request: nobody stands in line yet
                now = self._runtime.now() + _RETRY_PAUSE_S
                if now >= end:
                    raise
            await self._runtime.sleep(_RETRY_PAUSE_S)

    async def _wait_turn(self, request: LockRequest, deadline: float) -> Grant | None:
        """Take the lock, or stand in line and wait for the notice."""
        wait = self._room.enter(request)
        try:
            sent = self._runtime.now()
            beat = wait.needs_beat(min(self._tuning.poll_s, request.spec.lease_s / 2))
            answer = await self._patiently(request, sent, deadline, queue=True, beat=beat)
            if answer > 0:
                return Grant(answer, sent + request.spec.lease_s)
            granted = await self._sleep_in_line(wait, (sent, answer, beat), deadline)
        finally:
            self._room.leave(wait)
        if granted is None:  # in line, or granted in this very moment: leave both
            await self._withdraw(request)
        return granted

    async def _sleep_in_line(self, wait: Wait, told: tuple[float, int, bool], deadline: float) -> Grant | None:
        """Sleep until the notice, the next question or the deadline, whichever is first.

        `told`: when the server was asked, what it answered, whether that call was a sign of life.
        """
        request, line = wait.request, self._room.stand_in_line(wait)
        poll_s = min(self._tuning.poll_s, request.spec.lease_s / 2)
        asked, answer, beat = told
        while True:
            if beat:
                line.was_beat(asked)
            ask_at = asked + (poll_s if answer == 0 else min(poll_s, -answer / 1000 + 0.002))
            while True:
                self._go_on(request)
                now = self._runtime.now()
                if wait.token and now - asked <= request.spec.lease_s / 2:
                    # granted after `asked`, when we were still told to wait: the lease counts from there
                    return Grant(wait.token, asked + request.spec.lease_s)
                if wait.token:  # too long ago to know how much of the lease is left: asking begins it anew
                    wait.token = 0
                    break
                if now >= deadline:
                    return None
                if wait.recheck or (now >= ask_at and (wait.is_first or now >= asked + 4 * poll_s)):
                    wait.recheck = False
                    break
                await wait.pause(min(deadline, max(ask_at, now + 0.25 * poll_s)) - now)
            asked, beat = self._runtime.now(), True
            answer = await self._patiently(request, asked, deadline, queue=True, again=True, beat=True)
            if answer > 0:
                return Grant(answer, asked + request.spec.lease_s)

    async def _patiently(
        self,
        request: LockRequest,
        sent: float,
        deadline: float,
        *,
        queue: bool,
        again: bool = False,
        beat: bool = False,
    ) -> int:
        """One run of the acquire script, repeated while the server is out of reach (the script is safe to repeat)."""
        give_up = min(deadline, sent + self._tuning.patience_s)
        end = min(deadline, sent + self._tuning.bound_s) if request.blocking else math.inf
        beat_ms = round(3000 * self._tuning.poll_s) if beat else 0
        now = sent
        while True:
            try:
                flags = (int(queue), int(again), beat_ms, _LINE_MS)
                return int(await self._run(request, "acquire", flags, self._limit(end, now)))
            except LockUnavailable as error:
                again = error.sent = again or error.sent
                self._go_on(request)
                pause_s = _RETRY_PAUSE_S * random.uniform(0.5, 1.5)
                now = self._runtime.now() + pause_s
                if now >= give_up:
                    error.lock_name = request.spec.name
                    raise
            await self._runtime.sleep(pause_s)

    def _run(
        self, request: LockRequest, verb: Verb, flags: tuple[int, ...], timeout_s: float
    ) -> Coroutine[Any, Any, Any]:
        """Run one of the scripts that take a single lock."""
        return prepared(self._tuning.prefix, request.spec, verb, flags).run(self._server, request.owner_id, timeout_s)

    async def _server_of(self, name: str, timeout_s: float) -> Server:
        """Where this lock lives; found within `timeout_s` seconds."""
        return self._server

    async def _replicated(self, request: LockRequest, granted: Grant, deadline: float) -> Grant:
        """A write of our own, then WAIT: replication is one stream, so the grant before it has arrived as well."""
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
            return int(await self._run(request, "release", _PLAINLY, self._call_s)) == 1
        except LockUnavailable:
            self.release_later(request)
            raise

    def release_later(self, request: LockRequest) -> None:
        lease_s = 0.0 if request.spec.lease_s == math.inf else request.spec.lease_s
        self._release_retry.retry(request, [self._server], self._runtime.now() + lease_s + self._tuning.patience_s)

    async def release_briefly(self, request: LockRequest) -> None:
        try:
            await self._pay(self._server, request, _WITHDRAW_S)
        except LockUnavailable:
            self.release_later(request)
            raise

    async def _pay(self, server: Server, request: LockRequest, timeout_s: float) -> None:
        """Leave line and lock, whichever we are in. Same connection, so it comes after what was sent before."""
        await self._run(request, "release", _LEAVING, min(self._call_s, timeout_s))

    async def _withdraw(self, request: LockRequest) -> None:
        """The same for a request whose caller waits no more; what is not answered at once goes on in the background."""
        try:
            await self.release_briefly(request)
        except LockUnavailable:  # it is owed now
            return
        except ProviderClosed:  # as at the end of the process
            return
        except LockError as refused:  # and would be refused again: an entry and a lease that time out are left
            log.warning("lock %r is left to the end of its lease: %s", request.spec.name, refused)

    # -- the rest -------------------------------------------------------------------------------------------------

    async def extend(self, requests: Sequence[LockRequest], timeout_s: float) -> list[bool | None]:
        timeout_s = min(timeout_s, self._call_s)
        mutexes = [request for request in requests if request.spec.kind == "lock"]
        kept: dict[str, bool | None] = {}
        if mutexes:
            names = [names_of(self._tuning.prefix, request.spec.name, "lock").keys for request in mutexes]
            keys = tuple(key for four in names for key in (four[0], four[3]))
            args = tuple(part for request in mutexes for part in (request.owner_id, lease_ms(request.spec.lease_s)))
            answers = await script("mutex_renew").run(self._server, keys, args, timeout_s)
            if len(answers) != len(mutexes):
                await refuse(self._server, answers)
            kept = {request.owner_id: answer == 1 for request, answer in zip(mutexes, answers, strict=True)}
        for request in requests:
            if request.spec.kind != "lock":
                kept[request.owner_id] = await self._extend_share(request, timeout_s)
        return [kept[request.owner_id] for request in requests]

    async def _extend_share(self, request: LockRequest, timeout_s: float) -> bool:
        call = prepared(self._tuning.prefix, request.spec, "renew", ())
        return int(await call.run(self._server, request.owner_id, timeout_s)) == 1

    async def inspect(self, name: str, kind: Kind) -> LockInfo:
        reply = await self._run(LockRequest(Spec(name, kind), "-"), "inspect", (), self._call_s)
        try:
            return info_of(name, kind, reply)
        except (TypeError, ValueError):  # a list, but another one
            await refuse(self._server, reply)

    async def survey(self, max_keys: int) -> Survey:
        """Which locks of this prefix are in use, after at most `max_keys` keys of the server."""
        return await survey(self._server, self._tuning.prefix, max_keys=max_keys, timeout_s=self._call_s)

    async def break_(self, name: str, kind: Kind) -> bool:
        return int(await self._run(LockRequest(Spec(name, kind), "-.-"), "release", _BREAKING, self._call_s)) == 1

    async def raise_fence(self, name: str, at_least: int) -> None:
        fence = names_of(self._tuning.prefix, name, "lock").keys[2]
        await script("raise_fence").run(self._server, (fence,), (at_least,), self._call_s)

    def change_loop(self) -> None:
        """In another event loop: whoever listened in the one of before does so no more."""
        self._room.change_loop()
        self._release_retry.change_loop()
        if isinstance(self._server, ChangesLoop):
            self._server.change_loop()

    def cancel_waits(self) -> None:
        self._room.cancel_waits()

    async def close(self) -> None:
        await self._release_retry.close(self.patience_s / CLOSING_PARTS)
        await self._server.close()


async def _one(works: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
    """There is one server: its errors are those of all."""
    return [await work for work in works]
