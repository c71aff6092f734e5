"""A user's program over `stockade.locks.aio`: never run, only checked."""

from collections.abc import Awaitable, Callable
from typing import assert_type

from stockade.locks.aio import (
    Kind,
    Lease,
    Listener,
    Lock,
    LockInfo,
    LockOptions,
    MemoryLocks,
    MultiLease,
    Provider,
    RedisLocks,
)


async def one_lock(locks: Provider) -> bool:
    """All ways to take one lock."""
    lock = locks.lock("order:42")
    assert_type(lock, Lock)
    async with lock as lease:
        assert_type(lease, Lease)
        lease.check()
    async with lock.hold(timeout=2) as held:
        assert_type(held.fencing_token, int)
    assert_type(await lock.acquire(timeout=2), Lease | None)
    assert_type(await lock.try_acquire(), Lease | None)
    assert_type(await locks.inspect("order:42"), LockInfo)
    with lock:  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass
    return lock.owned()


async def several(locks: Provider) -> MultiLease:
    """Several locks as one."""
    async with locks.multi("a", "b").hold(timeout=1) as leases:
        return leases


async def opened() -> None:
    """A provider is an asynchronous context."""
    async with RedisLocks("redis://localhost") as locks, MemoryLocks() as others:
        await one_lock(locks)
        await one_lock(others)


def decorated(locks: Provider) -> Callable[[str], Awaitable[int]]:
    """A decorated coroutine function keeps its signature."""

    @locks.synchronized("order:{order_id}")
    async def pay(order_id: str) -> int:
        return len(order_id)

    return pay


async def named_in_types(locks: Provider, options: LockOptions, listener: Listener, kind: Kind) -> None:
    """Options, listeners, callbacks and kinds that a user's own functions take."""
    locks.lock("order:42", **options)
    locks.on_event(listener)
    assert_type(await locks.inspect("order:42", kind), LockInfo)


def told(lease: Lease) -> None:
    """A callback may name the lease that it is given."""

    def callback(lost: Lease) -> None:
        assert_type(lost.token, str)

    lease.on_lost(callback)
