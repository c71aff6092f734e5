"""A user's program over `stockade.locks`: never run, only checked."""

from typing import assert_type

from stockade.locks import (
    Detached,
    Holder,
    Kind,
    Lease,
    Listener,
    Lock,
    LockEvent,
    LockInfo,
    LockLost,
    LockOptions,
    LockTimeout,
    MemoryLocks,
    MultiLease,
    MySQLLocks,
    PostgresLocks,
    Provider,
    QuorumLocks,
    RedisLocks,
    RedisTuning,
    RWLock,
)
from stockade.locks.compat import threading as drop_in
from stockade.locks.fencing import Fence, MemoryFence, install_sql


def providers() -> list[Provider]:
    """Every provider is a Provider."""
    return [
        MemoryLocks(),
        RedisLocks("redis://localhost", RedisTuning(prefix="shop:"), fair=False, lease_s=10),
        QuorumLocks(["redis://a", "redis://b", "redis://c"]),
        PostgresLocks("postgresql://localhost/shop", connections=4),
        MySQLLocks("mysql://localhost/shop"),
    ]


def one_lock(locks: Provider) -> str:
    """All ways to take one lock."""
    lock = locks.lock("order:42", lease_s=10, on_lost="raise", metadata="job 7")
    assert_type(lock, Lock)
    with lock as lease:
        assert_type(lease, Lease)
        assert_type(lease.fencing_token, int)
        assert_type(lease.lost, bool)
        lease.check()
    with lock.hold(timeout=2) as held:
        assert_type(held.remaining(), float)
    maybe = lock.acquire(timeout=2)
    assert_type(maybe, Lease | None)
    if maybe is None:
        return "not granted"
    maybe.release()
    assert_type(lock.try_acquire(), Lease | None)
    return maybe.token


def several(locks: Provider) -> None:
    """Several locks as one, and other kinds."""
    with locks.multi("stock:7", locks.lock("stock:3")).hold(timeout=2) as leases:
        assert_type(leases, MultiLease)
        assert_type(leases.leases, dict[str, Lease])
    pair = locks.rwlock("report")
    assert_type(pair, RWLock)
    with pair.read, locks.semaphore("printer", 3):
        pass


def looking(locks: Provider) -> tuple[Holder, ...]:
    """What inspection returns."""
    info = locks.inspect("order:42")
    assert_type(info, LockInfo)
    return info.holders


def handing_over(lock: Lock, lease: Lease) -> Lease:
    """A lease that goes to another process."""
    parcel: Detached = lease.detach()
    return lock.adopt(parcel)


def listening(locks: Provider) -> None:
    """Events of a provider."""

    def show(event: LockEvent) -> None:
        assert_type(event.seconds, float)

    locks.on_event(show)


def decorated(locks: Provider) -> int:
    """A decorated function keeps its signature."""

    @locks.synchronized("order:{order_id}", timeout=2)
    def pay(order_id: str, amount: int) -> int:
        return amount

    assert_type(pay("42", 100), int)
    pay(42, 100)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    locks.lock("a", laese_s=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    return pay("42", amount=1)


def fenced(lease: Lease) -> Fence:
    """A lease is a proof for a resource."""
    MemoryFence().install(lease)
    assert_type(install_sql("stock", "id", "numeric"), str)
    return Fence(lease.name, lease.token, lease.fencing_token)


def failing(lock: Lock) -> str | None:
    """The errors, by their classes."""
    try:
        with lock.hold(timeout=1) as lease:
            lease.check()
    except LockTimeout as error:
        return error.lock_name
    except LockLost as error:
        return error.code
    return None


def dropped_in(locks: Provider) -> bool:
    """A lock with the interface of `threading`."""
    lock = drop_in.Lock(locks, "jobs")
    with lock as taken:
        assert_type(taken, bool)
    return lock.acquire(timeout=1)


def named_in_types(locks: Provider, options: LockOptions, listener: Listener, kind: Kind) -> None:
    """Options, listeners, callbacks and kinds that a user's own functions take."""
    locks.lock("order:42", **options)
    locks.on_event(listener)
    locks.inspect("order:42", kind)


def told(lease: Lease) -> None:
    """A callback may name the lease that it is given."""

    def callback(lost: Lease) -> None:
        assert_type(lost.token, str)

    lease.on_lost(callback)
