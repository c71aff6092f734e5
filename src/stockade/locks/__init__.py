"""Locks that tell the truth: fair, fenced, cancellation-safe, and loud when a lease is lost. For threads;
the asyncio twin is `stockade.locks.aio`.

    with MemoryLocks() as locks, locks.lock("order:42"):
        ...

Layout: `port` (the world as the core sees it), `keeper` + `lease` + `renewal` + `many` (the one state machine),
`threads` and `tasks` (its two faces), `memory`, `redislocks`, `quorum`, `postgres`, `mysql` (where locks live).
Imports only `stockade.core` and the standard library; a driver is imported by the provider that needs it.
"""

from stockade.locks.database.mysql import MySQLLocks
from stockade.locks.database.postgres import PostgresLocks
from stockade.locks.engine.lease import Detached
from stockade.locks.engine.lock_request import Holder, LockInfo
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
from stockade.locks.events import LockEvent
from stockade.locks.redis.providers import QuorumLocks, RedisLocks
from stockade.locks.redis.tuning import RedisTuning
from stockade.locks.sync_api import Lease, Lock, MemoryLocks, MultiLease, MultiLock, Provider, RWLock

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
    "ProviderClosed",
    "QuorumLocks",
    "RWLock",
    "RedisLocks",
    "RedisTuning",
    "WrongLoop",
]
