"""Locks on a Redis Cluster: each lock lives on one master, all together on many.

What differs from one server: keys of several locks may not stand in one call, so leases are renewed lock by lock, and a
master that is away costs the others nothing. Neighbours: `redisbackend.py` (the rules), `wire/cluster.py` (who serves
which lock).
"""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeAlias

from stockade.locks.engine.lock_request import LockRequest
from stockade.locks.errors import LockUnavailable
from stockade.locks.redis.backend import RedisBackend, RedisTuning
from stockade.locks.redis.key_names import names_of
from stockade.locks.redis.scan import Survey, survey
from stockade.locks.redis.script import translated
from stockade.locks.redis.transport.cluster import ClusterTransport
from stockade.locks.runtime.runtime import Runtime, Server, ServerError

_CALL_LEAST_S = 0.1  # for the call itself, when finding its master has taken long
Together: TypeAlias = Callable[[Sequence[Coroutine[Any, Any, Any]]], Coroutine[Any, Any, list[Any]]]


class ClusterBackend(RedisBackend):
    """Mutexes, read/write locks and semaphores, spread over the masters of a cluster by their names.

    Args:
        port: time, waiting and background work.
        cluster: the way to the masters.
        tuning: times and prefix.
        together: runs several calls, at once or in turn; an error is an answer.
    """

    def __init__(self, runtime: Runtime, cluster: ClusterTransport, tuning: RedisTuning, together: Together) -> None:
        super().__init__(runtime, cluster, tuning)
        self._cluster = cluster
        self._together = together

    async def extend(self, requests: Sequence[LockRequest], timeout_s: float) -> list[bool | None]:
        away: set[Server] = set()
        timeout_s = min(timeout_s, self._call_s)
        answers = await self._together([self._extend_one(request, timeout_s, away) for request in requests])
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, LockUnavailable):
                raise answer
        failed = [answer for answer in answers if isinstance(answer, BaseException)]
        if failed and len(failed) == len(answers):
            raise failed[0]
        return [None if isinstance(answer, BaseException) else answer for answer in answers]

    async def _extend_one(self, request: LockRequest, timeout_s: float, away: set[Server]) -> bool | None:
        """One lease. Of a master that did not answer, no other lease is asked for in this round: each may take long."""
        end = self._runtime.now() + timeout_s
        master = await self._server_of(request.spec.name, timeout_s)
        if master in away:
            raise LockUnavailable("its master did not answer for another lock", request.spec.name)
        try:
            return (await super().extend([request], max(end - self._runtime.now(), _CALL_LEAST_S)))[0]
        except LockUnavailable:
            away.add(master)
            raise

    async def _server_of(self, name: str, timeout_s: float) -> Server:
        key = names_of(self._tuning.prefix, name, "lock").keys[0]
        try:
            return await self._cluster.master_of(key, timeout_s)
        except ServerError as error:
            raise translated(error) from error

    async def survey(self, max_keys: int) -> Survey:
        tuning = self._tuning
        try:
            masters = await self._cluster.masters(self._call_s)
        except ServerError as error:
            raise translated(error) from error
        share = max(max_keys // len(masters), 1)
        found = [
            await survey(master, tuning.prefix, max_keys=share, timeout_s=self._call_s, apart=True)
            for master in masters
        ]
        locks = sorted({lock for each in found for lock in each.found}, key=lambda lock: (lock[1], lock[0]))
        return Survey(tuple(locks), all(each.complete for each in found))
