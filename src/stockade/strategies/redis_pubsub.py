"""`redis-pubsub`: queue in Redis, woken when it is one's turn."""

from typing import ClassVar

from stockade.core import Guarantees
from stockade.locks.aio import Provider, RedisLocks
from stockade.strategies.lock_based import LockBased


class RedisPubsub(LockBased):
    """A fair lock on one Redis server: the releaser hands it to the first waiter and wakes only that one.

    Both seeds' subscribing lock (Redisson, lease 1 s), with a queue, fencing tokens and a poll as safety net; a
    version check or the token itself protects the row.
    """

    name: ClassVar[str] = "redis-pubsub"
    guarantees: ClassVar[Guarantees] = Guarantees(
        faults=("crash", "pause", "failover", "restart"), order="fifo", needs=("redis",)
    )
    lease_s: ClassVar[float] = 1.0

    def connect(self) -> Provider:
        return RedisLocks(self.options.redis[0])
