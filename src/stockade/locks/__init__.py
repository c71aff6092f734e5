"""Locks that tell the truth: fair, fenced, cancellation-safe, and loud when a lease is lost. For threads;
the asyncio twin is `stockade.locks.aio`.

    with MemoryLocks() as locks, locks.lock("order:42"):
        ...

Layout: `port` (the world as the core sees it), `keeper` + `lease` + `renewal` + `many` (the one state machine),
`sync` and `aio` (its two faces), `memory`, `redisfair`, `quorum`, `postgres`, `mysql` (where locks live). Imports only
`stockade.core` and the standard library; drivers are imported by the provider that needs them, when it is made.
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
)
from stockade.locks.events import LockEvent
from stockade.locks.lease import Detached
from stockade.locks.sync import Lease, Lock, MemoryLocks, MultiLease, MultiLock, Provider, RWLock

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
    "Provider",
    "RWLock",
]
