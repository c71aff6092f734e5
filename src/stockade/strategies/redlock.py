"""`redlock`: hold a lock on the majority of several independent Redis servers."""

from typing import ClassVar

from stockade.core import Guarantees
from stockade.locks.aio import Provider, QuorumLocks
from stockade.strategies.lock_based import LockBased


class Redlock(LockBased):
    """A lock on the majority of 3 or more independent Redis servers; a version check or the token protects the row.

    It survives the loss of a minority of the servers. Against a pause of the holder it is no safer than `redis-pubsub`.
    (antirez.com/news/101.)
    """

    name: ClassVar[str] = "redlock"
    guarantees: ClassVar[Guarantees] = Guarantees(faults=("crash", "pause", "failover", "restart"), needs=("redis",))
    lease_s: ClassVar[float] = 3.0
    fair: ClassVar[bool] = False
    servers: ClassVar[int] = 3

    def connect(self) -> Provider:
        return QuorumLocks(self.options.redis)
