"""`redis-pubsub`: wait in a queue in Redis; Redis wakes the first waiter when the lock is released."""

from typing import ClassVar

from stockade.core import Guarantees
from stockade.locks.aio import Provider, RedisLocks
from stockade.strategies.lock_based import LockBased


class RedisPubsub(LockBased):
    """A fair lock on one Redis server: the releaser hands it over to the first waiter and wakes only that one.

    Like Redisson's lock, with a queue, fencing tokens and a poll in case a message is lost. A version check or the
    fencing token protects the row.
    """

    name: ClassVar[str] = "redis-pubsub"
    guarantees: ClassVar[Guarantees] = Guarantees(
        faults=("crash", "pause", "failover", "restart"), order="fifo", needs=("redis",)
    )
    lease_s: ClassVar[float] = 1.0

    def connect(self) -> Provider:
        return RedisLocks(self.options.redis[0])
