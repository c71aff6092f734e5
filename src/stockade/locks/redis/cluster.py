"""Locks on a Redis Cluster: each lock lives on one master.

Keys of several locks may not stand in one call, so leases are renewed lock by lock, and a master that is away does not
delay the others. Neighbours: `backend.py` (the rules), `transport/cluster.py` (which master serves a lock).
"""

from collections.abc import Sequence

from stockade.locks.engine.lock_request import LockRequest
from stockade.locks.engine.release_retry import Together
from stockade.locks.errors import LockUnavailable
from stockade.locks.redis.backend import RedisBackend
from stockade.locks.redis.key_names import names_of
from stockade.locks.redis.scan import LocksInUse, scan
from stockade.locks.redis.script import translated
from stockade.locks.redis.transport.cluster import ClusterTransport
from stockade.locks.redis.transport.transport import Server, ServerError
from stockade.locks.redis.tuning import RedisTuning
from stockade.locks.runtime.runtime import Runtime

_CALL_LEAST_S = 0.1  # for the call itself, when it took long to find the master


class ClusterBackend(RedisBackend):
    """Mutexes, read/write locks and semaphores, spread over the masters of a cluster by their names.

    Args:
        runtime: time, waiting and background work.
        cluster: the transports to the masters.
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
        """Renew one lease. After a master did not answer, the round skips its other leases: each could take long."""
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

    async def scan(self, max_keys: int) -> LocksInUse:
        tuning = self._tuning
        try:
            masters = await self._cluster.masters(self._call_s)
        except ServerError as error:
            raise translated(error) from error
        share = max(max_keys // len(masters), 1)
        found = [
            await scan(master, tuning.prefix, max_keys=share, timeout_s=self._call_s, apart=True) for master in masters
        ]
        locks = sorted({lock for each in found for lock in each.found}, key=lambda lock: (lock[1], lock[0]))
        return LocksInUse(tuple(locks), all(each.complete for each in found))
