"""Redlock: a lock held on the majority of several independent Redis servers (antirez.com/news/101).

It survives the loss of a minority. It is not safe by itself against a server that forgets: let a server that restarts
without its data stay away for one lease ("delayed restart"), and put a fence at the resource. Neighbours: `backend.py`
(one server), `engine/release_retry.py` (releases that were not answered), `providers.py`.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from stockade.core import NotSupported
from stockade.locks.engine.lock_request import (
    CLOSING_PARTS,
    ChangesLoop,
    Grant,
    Kind,
    LockInfo,
    LockRequest,
    Spec,
)
from stockade.locks.engine.release_retry import ReleaseRetry, Together
from stockade.locks.errors import LockError, LockUnavailable, ProviderClosed
from stockade.locks.events import log
from stockade.locks.redis.key_names import head_args, lease_ms, names_of
from stockade.locks.redis.scan import holder_of
from stockade.locks.redis.script import script
from stockade.locks.redis.transport.transport import Server
from stockade.locks.redis.tuning import RedisTuning
from stockade.locks.runtime.runtime import Runtime

_RELEASE = ("mutex_common", "mutex_release")
_CALL_LEAST_S = 0.03  # of each of several calls in turn, when the caller's time is nearly over
_WITHDRAW_S = 0.1  # how long a caller waits for the withdrawal of its request; then that goes on in the background
_SILENT_PAUSE_S = 0.05  # as `spin_s`, after a round without a majority of answers
_MAX_LOGGED = 100  # refusals of different wording
_DRIFT_SHARE, _DRIFT_S = 0.01, 0.002


class QuorumBackend:
    """Mutexes on a majority of servers. Waits by trying again, in no order.

    The servers keep a lease longer than is claimed by the clock drift allowed for (1 % and 2 ms, as in the paper).

    Args:
        runtime: time, waiting and background work.
        servers: an odd number, three or more.
        tuning: times and prefix.
        together: runs several calls, at once or in turn; returns errors as answers.
        background: the same servers over connections of their own, for releases in the background, which may take
            long; default: `servers`.
    """

    needs_lease = True

    def __init__(
        self,
        runtime: Runtime,
        servers: Sequence[Server],
        tuning: RedisTuning,
        together: Together,
        *,
        background: Sequence[Server] = (),
    ) -> None:
        if len(servers) < 3 or len(servers) % 2 == 0:
            raise ValueError(f"a quorum needs an odd number of servers, 3 or more; got {len(servers)}")
        self._runtime = runtime
        self._servers = servers
        self._background = background or servers
        self._tuning = tuning
        self._together = together
        self._majority = len(servers) // 2 + 1
        self.patience_s = tuning.patience_s
        self.where = ", ".join(str(getattr(server, "where", "")) for server in servers)
        self._release_retry = ReleaseRetry(runtime, self._release_at, together)
        self._logged: set[str] = set()
        self._closed = False

    async def _answers_or_none(
        self, *files: str, request: LockRequest, flags: tuple[int, ...], end: float
    ) -> list[Any]:
        """Each server's answer; None: it gave none."""
        return self._errors_to_none(await self._answers_or_errors(*files, request=request, flags=flags, end=end))

    async def _answers_or_errors(
        self, *files: str, request: LockRequest, flags: tuple[int, ...], end: float
    ) -> list[Any]:
        """Each server's answer, or the error in its place."""
        return await self._together([self._answer_of(server, files, request, flags, end) for server in self._servers])

    async def _answer_of(
        self, server: Server, files: tuple[str, ...], request: LockRequest, flags: tuple[int, ...], end: float
    ) -> Any:
        """The answer of one server to the script made of `files`."""
        names = names_of(self._tuning.prefix, request.spec.name, "lock")
        args = (*head_args(_with_drift(request), "-", names.alive, self._tuning.token_ttl_ms), *flags)
        return await script(*files).run(server, names.keys, args, self._limit(end))

    def _limit(self, end: float) -> float:
        """Seconds for a call that begins now; calls in turn share the time until `end`."""
        return min(self._tuning.call_s, max(end - self._runtime.now(), _CALL_LEAST_S))

    def _errors_to_none(self, answers: list[Any]) -> list[Any]:
        """The answers; None for a server that gave none. A refusal is logged once, and counts as no answer.

        Raises:
            LockError: servers refuse for a reason that will not pass, and the others are no majority.
        """
        failed = [answer for answer in answers if isinstance(answer, BaseException)]
        for error in failed:
            if isinstance(error, LockUnavailable):
                continue
            if not isinstance(error, LockError) or len(answers) - len(failed) < self._majority:
                raise error
            self._log_once(error)
        return [None if isinstance(answer, BaseException) else answer for answer in answers]

    def _log_once(self, error: LockError) -> None:
        if str(error) not in self._logged and len(self._logged) < _MAX_LOGGED:
            self._logged.add(str(error))
            log.warning("a server of the quorum refuses, and does not count: %s", error)

    async def acquire(self, request: LockRequest, deadline: float) -> Grant | None:
        if request.spec.kind != "lock":
            raise NotSupported("a quorum has mutexes only; read/write locks and semaphores need one Redis server")
        limit = deadline if request.blocking else math.inf
        if self._release_retry.is_pending(request.owner_id):
            await self._release_retry.cancel(request.owner_id, max(self._end(limit) - self._runtime.now(), 0.0))
        give_up = min(deadline, self._runtime.now() + self.patience_s)
        try:
            while True:
                silent: LockUnavailable | None = None
                try:
                    granted = await self._try(request, self._end(limit))
                except LockUnavailable as error:
                    granted, silent = None, error
                if granted is not None:
                    return granted
                if silent is not None and self._runtime.now() >= give_up:
                    raise silent
                answers = await self._release_all(request, max(deadline, self._runtime.now()) + _WITHDRAW_S)
                now = self._runtime.now()
                if silent is not None and now >= give_up:
                    raise silent
                if self._closed:
                    raise ProviderClosed(lock_name=request.spec.name)
                if now >= deadline:
                    self._retry_release(request, answers)
                    return None
                pause_s = _SILENT_PAUSE_S if silent is not None else self._tuning.spin_s
                await self._runtime.sleep(min(pause_s * random.uniform(0.5, 3.0), deadline - now))
        except BaseException:
            self._runtime.run_to_end(self._release_last(request, self._runtime.now() + _WITHDRAW_S))
            raise

    def _end(self, deadline: float = math.inf) -> float:
        """When to give up: at the deadline, if the call has a time limit of its own, or when patience ends."""
        return min(deadline, self._runtime.now() + self._tuning.bound_s)

    async def _try(self, request: LockRequest, end: float) -> Grant | None:
        """One round: majority, validity, and the token written back before it is believed.

        Raises:
            LockUnavailable: no majority of the servers answered.
        """
        sent = self._runtime.now()
        answers = await self._answers_or_none(
            "mutex_common",
            "mutex_acquire",
            request=request,
            flags=(0, 0, 0, 0),
            end=min(end, sent + request.spec.lease_s / 4),
        )
        if sum(answer is not None for answer in answers) < self._majority:
            raise LockUnavailable(f"no majority of {len(answers)} lock servers answers", request.spec.name)
        fencing_tokens = [answer for answer in answers if answer is not None and answer > 0]
        if len(fencing_tokens) < self._majority or self._runtime.now() >= sent + request.spec.lease_s:
            return None
        fencing_token = max(fencing_tokens)
        raised = await self._raise_fence_everywhere(request.spec.name, fencing_token, end)
        if raised < self._majority or self._runtime.now() >= sent + request.spec.lease_s:
            return None
        return Grant(fencing_token, sent + request.spec.lease_s)

    async def _raise_fence_everywhere(self, name: str, fencing_token: int, end: float) -> int:
        """How many servers will grant above this fencing token from now on."""
        fence = names_of(self._tuning.prefix, name, "lock").keys[2]
        works = [self._raise_fence_at(server, fence, fencing_token, end) for server in self._servers]
        return self._errors_to_none(await self._together(works)).count(1)

    async def _raise_fence_at(self, server: Server, fence: str, fencing_token: int, end: float) -> Any:
        args = (fencing_token, self._tuning.token_ttl_ms)
        return await script("raise_fence").run(server, (fence,), args, self._limit(end))

    async def raise_fence(self, name: str, at_least: int) -> None:
        if await self._raise_fence_everywhere(name, at_least, self._end()) < self._majority:
            raise LockUnavailable("no majority of the lock servers answers", name)

    async def _release_all(self, request: LockRequest, end: float) -> list[Any]:
        return await self._answers_or_errors(*_RELEASE, request=request, flags=(0, 0), end=end)

    async def _release_at(self, server: Server, request: LockRequest, timeout_s: float) -> Any:
        return await self._answer_of(server, _RELEASE, request, (0, 0), self._runtime.now() + timeout_s)

    async def _release_last(self, request: LockRequest, end: float) -> list[Any]:
        """The last release of a request; a server that does not answer gets it again in the background."""
        with self._release_retry.sending(request.owner_id):
            answers = await self._release_all(request, end)
            self._retry_release(request, answers)
        return answers

    async def release_briefly(self, request: LockRequest) -> None:
        await self._release_last(request, self._runtime.now() + _WITHDRAW_S)

    def release_later(self, request: LockRequest) -> None:
        self._retry_release(request, [None] * len(self._servers))

    def _retry_release(self, request: LockRequest, answers: list[Any]) -> None:
        """Repeat it until the lease that the server may still grant has ended."""
        pairs = zip(self._background, answers, strict=True)
        silent = [server for server, answer in pairs if answer is None or isinstance(answer, LockUnavailable)]
        self._release_retry.retry(request, silent, self._runtime.now() + _with_drift(request).spec.lease_s)

    async def release(self, request: LockRequest) -> bool:
        answers = self._errors_to_none(await self._release_last(request, self._end()))
        ones, unknown = answers.count(1), answers.count(None)
        if ones < self._majority <= ones + unknown:
            raise LockUnavailable("no majority of the lock servers answers; the release is repeated", request.spec.name)
        return ones >= self._majority

    async def extend(self, requests: Sequence[LockRequest], timeout_s: float) -> list[bool]:
        return [await self._extend(request, min(self._runtime.now() + timeout_s, self._end())) for request in requests]

    async def _extend(self, request: LockRequest, end: float) -> bool:
        answers = self._errors_to_none(
            await self._together([self._extend_one(server, request, end) for server in self._servers])
        )
        if answers.count([1]) >= self._majority:
            return True
        if answers.count([1]) + answers.count(None) >= self._majority:
            raise LockUnavailable("no majority of the lock servers answers", request.spec.name)
        return False

    async def _extend_one(self, server: Server, request: LockRequest, end: float) -> Any:
        names = names_of(self._tuning.prefix, request.spec.name, "lock")
        keys = (names.keys[0], names.keys[3], names.keys[2])
        args = (self._tuning.token_ttl_ms, request.owner_id, lease_ms(_with_drift(request).spec.lease_s))
        return await script("mutex_renew").run(server, keys, args, self._limit(end))

    async def inspect(self, name: str, kind: Kind) -> LockInfo:
        request = LockRequest(Spec(name), "-")
        answers = await self._answers_or_none(
            "mutex_common", "mutex_inspect", request=request, flags=(), end=self._end()
        )
        rows = [answer[0] for answer in answers if answer is not None]
        if len(rows) < self._majority:
            raise LockUnavailable("no majority of the lock servers answers", name)
        owners = [bytes(row[0]) for row in rows]
        owner = max(set(owners), key=owners.count, default=b"")
        if not owner or owners.count(owner) < self._majority:
            return LockInfo(name, (), ())
        mine = [holder_of(row) for row in rows if row[0] == owner]
        youngest = max(mine, key=lambda holder: holder.since or 0.0)  # since then it has been the majority's
        ttl_s = sorted(holder.ttl_s for holder in mine)[-self._majority]
        return LockInfo(name, (youngest._replace(token=max(each.token for each in mine), ttl_s=ttl_s),), ())

    async def break_(self, name: str, kind: Kind) -> bool:
        request = LockRequest(Spec(name), "-.-")
        answers = await self._answers_or_none(*_RELEASE, request=request, flags=(0, 1), end=self._end())
        if answers.count(1) < self._majority <= answers.count(1) + answers.count(None):
            raise LockUnavailable("no majority of the lock servers answers", name)
        return answers.count(1) >= self._majority

    def change_loop(self) -> None:
        """In another event loop: go on there."""
        self._release_retry.change_loop()
        for server in {*self._servers, *self._background}:
            if isinstance(server, ChangesLoop):
                server.change_loop()

    def cancel_waits(self) -> None:
        self._closed = True

    async def close(self) -> None:
        await self._release_retry.close(self.patience_s / CLOSING_PARTS)
        for server in {*self._servers, *self._background}:
            await server.close()


def _with_drift(request: LockRequest) -> LockRequest:
    spec = request.spec
    if spec.lease_s == math.inf:
        return request
    longer = spec.lease_s * (1 + _DRIFT_SHARE) + _DRIFT_S
    return replace(request, spec=Spec(spec.name, lease_s=longer, metadata=spec.metadata))
