"""The asyncio face of the lock library; the names are those of `stockade.locks`.

async with MemoryLocks() as locks:
    async with locks.lock("order:42"):
        ...
"""

from stockade.locks.ask import Holder, LockInfo
from stockade.locks.errors import (
    LockError,
    LockLost,
    LockNotOwned,
    LockReentry,
    LockTimeout,
    LockUnavailable,
    MissingExtra,
    WrongLoop,
)
from stockade.locks.events import LockEvent
from stockade.locks.lease import Detached
from stockade.locks.mysql import AioMySQLLocks as MySQLLocks
from stockade.locks.postgres import AioPostgresLocks as PostgresLocks
from stockade.locks.redisbackend import RedisTuning
from stockade.locks.redislocks import AioQuorumLocks as QuorumLocks
from stockade.locks.redislocks import AioRedisLocks as RedisLocks
from stockade.locks.tasks import Lease, Lock, MemoryLocks, MultiLease, MultiLock, Provider, RWLock

__all__ = [
    "Detached",
    "Holder",
    "Lease",
    "Lock",
    "LockError",
    "LockEvent",
    "LockInfo",
    "LockLost",
    "LockNotOwned",
    "LockReentry",
    "LockTimeout",
    "LockUnavailable",
    "MemoryLocks",
    "MissingExtra",
    "MultiLease",
    "MultiLock",
    "MySQLLocks",
    "PostgresLocks",
    "Provider",
    "QuorumLocks",
    "RWLock",
    "RedisLocks",
    "RedisTuning",
    "WrongLoop",
]
