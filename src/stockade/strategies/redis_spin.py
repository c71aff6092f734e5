"""`redis-spin`: poll a lock in Redis until it is free."""

from typing import ClassVar

from stockade.core import Guarantees
from stockade.locks.aio import Provider, RedisLocks, RedisTuning
from stockade.strategies.lock_based import LockBased


class RedisSpin(LockBased):
    """A lock on one Redis server, polled every 10 ms (`spin_ms`) with jitter; a version check protects the row.

    SET NX with an expiry of 3 s, an owner's token, a bounded wait, and a release that deletes only the own key.
    """

    name: ClassVar[str] = "redis-spin"
    guarantees: ClassVar[Guarantees] = Guarantees(faults=("crash", "pause", "failover", "restart"), needs=("redis",))
    lease_s: ClassVar[float] = 3.0
    fair: ClassVar[bool] = False

    def connect(self) -> Provider:
        return RedisLocks(self.options.redis[0], RedisTuning(spin_s=self.options.spin_ms / 1000))
