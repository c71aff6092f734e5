"""`redlock`: hold the key on the majority of several independent Redis servers."""

from typing import ClassVar

from stockade.core import Guarantees
from stockade.locks.aio import Provider, QuorumLocks
from stockade.strategies.lock_based import LockBased


class Redlock(LockBased):
    """A lock on the majority of 3 or more independent Redis servers; a version check or the token protects the row.

    What seed 000 calls RedLock and configured with one server, with the quorum that the name means
    (antirez.com/news/101). It survives the loss of a minority; it is no safer than `redis-pubsub` against a pause.
    """

    name: ClassVar[str] = "redlock"
    guarantees: ClassVar[Guarantees] = Guarantees(faults=("crash", "pause", "failover", "restart"), needs=("redis",))
    lease_s: ClassVar[float] = 3.0
    fair: ClassVar[bool] = False
    servers: ClassVar[int] = 3

    def connect(self) -> Provider:
        return QuorumLocks(self.options.redis)
