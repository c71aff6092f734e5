"""Locks for threads: fair, fenced, safe to cancel; a lost lease is always reported. For asyncio: `stockade.locks.aio`.

    with MemoryLocks() as locks, locks.lock("order:42"):
        ...

Layout, from the user down: `sync_api` and `async_api` (locks, leases, providers), `redis` and `database` (providers
and backends), `memory` (a backend), `engine` (acquire, hold, renew, release), `runtime` (time, waiting, background
work). The package needs the standard library, `stockade.core` and `stockade.drivers`; a provider imports the
third-party driver that it needs.
"""

from stockade.locks.database.mysql import MySQLLocks
from stockade.locks.database.postgres import PostgresLocks
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
from stockade.locks.redis.providers import QuorumLocks, RedisLocks
from stockade.locks.redis.scan import LocksInUse
from stockade.locks.redis.tuning import RedisTuning
from stockade.locks.sync_api import Lease, Lock, MemoryLocks, MultiLease, MultiLock, Provider, RWLock

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
