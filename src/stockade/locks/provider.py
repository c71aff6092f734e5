"""For lock providers written elsewhere: what a backend implements, and the values that it gets and returns.

The runtimes are what a provider gives to its backend: `SyncRuntime` for threads, `AsyncRuntime` for asyncio. The tests
for such a provider are in `stockade.locks.testing`. How-to: docs/how-to/write-a-lock-provider.md.
"""

from stockade.locks.engine.lock_request import (
    Backend,
    CancelsWaits,
    ChangesLoop,
    Grant,
    Holder,
    LockInfo,
    LockOptions,
    LockRequest,
    RetriesReleases,
    Spec,
)
from stockade.locks.runtime.async_runtime import AsyncRuntime
from stockade.locks.runtime.runtime import Runtime, Wakeup
from stockade.locks.runtime.sync_runtime import SyncRuntime

__all__ = [
    "AsyncRuntime",
    "Backend",
    "CancelsWaits",
    "ChangesLoop",
    "Grant",
    "Holder",
    "LockInfo",
    "LockOptions",
    "LockRequest",
    "RetriesReleases",
    "Runtime",
    "Spec",
    "SyncRuntime",
    "Wakeup",
]
