"""Locks for asyncio; the names are those of `stockade.locks`.

async with MemoryLocks() as locks:
    async with locks.lock("order:42"):
        ...
"""

from stockade.locks.async_api import Lease, Lock, MemoryLocks, MultiLease, MultiLock, Provider, RWLock
from stockade.locks.database.mysql import AioMySQLLocks as MySQLLocks
from stockade.locks.database.postgres import AioPostgresLocks as PostgresLocks
from stockade.locks.database.providers import SessionOptions
from stockade.locks.engine.lock_request import Holder, Kind, LockInfo, LockOptions, OnLost
from stockade.locks.errors import (
    LockError,
    LockLost,
    LockNotOwned,
    LockReentry,
    LockTimeout,
    LockUnavailable,
    MissingExtra,
    ProviderClosed,
    WrongLoop,
)
from stockade.locks.events import EventKind, Listener, LockEvent
from stockade.locks.lock_base import Detached
from stockade.locks.redis.providers import AioQuorumLocks as QuorumLocks
from stockade.locks.redis.providers import AioRedisLocks as RedisLocks
from stockade.locks.redis.scan import LocksInUse
from stockade.locks.redis.tuning import RedisTuning

__all__ = [
    "Detached",
    "EventKind",
    "Holder",
    "Kind",
    "Lease",
    "Listener",
    "Lock",
    "LockError",
    "LockEvent",
    "LockInfo",
    "LockLost",
    "LockNotOwned",
    "LockOptions",
    "LockReentry",
    "LockTimeout",
    "LockUnavailable",
    "LocksInUse",
    "MemoryLocks",
    "MissingExtra",
    "MultiLease",
    "MultiLock",
    "MySQLLocks",
    "OnLost",
    "PostgresLocks",
    "Provider",
    "ProviderClosed",
    "QuorumLocks",
    "RWLock",
    "RedisLocks",
    "RedisTuning",
    "SessionOptions",
    "WrongLoop",
]
