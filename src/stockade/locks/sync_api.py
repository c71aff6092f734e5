"""The face for threads: `with locks.lock("order:42"): ...`. Its twin for asyncio is `stockade.locks.aio`.

Every method drives a coroutine of the core to its end with `run`; nothing is written twice but the way of calling.
"""

import functools
import inspect
from collections.abc import Callable
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, Unpack

from stockade.locks.checks import count, lock_and_kind
from stockade.locks.engine.lease import BaseLease, Detached
from stockade.locks.engine.lock_request import RW_CAPACITY, TRY_ONCE_S, Kind, LockInfo, LockOptions, Spec
from stockade.locks.engine.manager import LockManager
from stockade.locks.errors import LockTimeout
from stockade.locks.memory import MemoryBackend
from stockade.locks.multi_lock import acquire_all, in_order, release_all
from stockade.locks.provider_base import ProviderBase, name_from_call, wait_bound
from stockade.locks.runtime.sync_runtime import SyncRuntime, run

P = ParamSpec("P")
R = TypeVar("R")


class Lease(BaseLease):
    """A held lock; see `BaseLease` for what needs no waiting."""

    __slots__ = ()

    def release(self) -> None:
        """Give it back. A second call is harmless.

        Raises:
            LockLost: it had ended before.
            LockUnavailable: the server did not answer; call again, or let the lease run out.
        """
        run(self.manager.release(self))

    def extend(self, lease_s: float) -> None:
        """Give it `lease_s` seconds from now on (also the length of later renewals).

        Raises:
            LockLost: it is not held any more; it is never taken anew.
            LockUnavailable: the server did not answer.
        """
        run(self.manager.extend(self, lease_s))

    def wait_lost(self, timeout: float | None = None) -> bool:
        """Wait until it is lost (True), or released or `timeout` seconds are over (False)."""
        return run(self.wait_lost_core(timeout))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        run(self.manager.leave(self, error))


class _Hold:
    """`with lock.hold(timeout=2) as lease`."""

    __slots__ = ("_lease", "_lock", "_timeout")

    def __init__(self, lock: "Lock", timeout: float | None) -> None:
        self._lock = lock
        self._timeout = timeout
        self._lease: Lease | None = None

    def __enter__(self) -> Lease:
        lease = self._lock.acquire(timeout=self._timeout)
        if lease is None:
            raise self._lock.manager.timed_out(self._lock.spec, self._timeout)
        self._lease = lease
        return lease

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lease is not None:
            run(self._lock.manager.leave(self._lease, error))


class Lock:
    """One lock of one provider. Holds no state, so threads may share it; what is held is a `Lease`."""

    def __init__(self, manager: LockManager[Lease], spec: Spec) -> None:
        self.manager = manager
        self.spec = spec

    @property
    def name(self) -> str:
        """The lock's name."""
        return self.spec.name

    def acquire(self, blocking: bool = True, timeout: float | None = None, *, token: str | None = None) -> Lease | None:
        """Take the lock. None: it was not granted in time.

        Args:
            blocking: False tries once.
            timeout: seconds to wait at most; None or -1: no limit.
            token: last part of the owner id, a word without dots, unique to this acquisition (default: a number).

        Raises:
            LockInTransaction: the caller is inside a transaction of the store.
            LockReentry: this thread holds it already.
            LockUnavailable: the server cannot be reached.
        """
        return run(self.manager.acquire(self.spec, wait_bound(blocking, timeout), token))

    def try_acquire(self) -> Lease | None:
        """Take the lock if it is free now."""
        return run(self.manager.acquire(self.spec, TRY_ONCE_S))

    def hold(self, timeout: float | None = None) -> _Hold:
        """`with lock.hold(timeout=2) as lease`; raises LockTimeout after `timeout` seconds."""
        return _Hold(self, timeout)

    def release(self) -> None:
        """Give back what this thread holds.

        Raises:
            LockNotOwned: this thread holds no lease of it.
            LockLost: the lease had ended before.
            LockUnavailable: the server did not answer; call again, or let the lease run out.
        """
        run(self.manager.release(self.manager.mine(self.spec)))

    def owned(self) -> bool:
        """Whether this thread holds it. No I/O."""
        lease = self.manager.held_by_me(self.spec)
        return lease is not None and lease.alive

    def locked(self) -> bool:
        """Whether anybody holds it."""
        return self.inspect().locked

    def inspect(self) -> LockInfo:
        """Who holds it and who waits."""
        return run(self.manager.call(self.manager.backend.inspect(self.spec.name, self.spec.kind)))

    def adopt(self, detached: Detached) -> Lease:
        """Take over a lease that was detached in another thread or process.

        Raises:
            LockNotOwned: it ran out on the way.
        """
        return run(self.manager.adopt(self.spec, detached.token, detached.fencing_token))

    def __enter__(self) -> Lease:
        lease = run(self.manager.acquire(self.spec, None))
        if lease is None:  # only a wait with a limit can end without a grant
            raise LockTimeout(f"lock {self.name!r} was not granted", self.name)
        return lease

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        run(self.manager.leave(self.manager.mine(self.spec), error))

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """As a decorator of a `def`: every call runs under the lock."""
        return _decorated(function, lambda *args, **kwargs: self.hold())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.spec.kind} {self.name!r}>"


def _decorated(function: Callable[P, R], hold: Callable[..., "_Hold"]) -> Callable[P, R]:
    if inspect.iscoroutinefunction(function):
        raise TypeError(f"{function!r} is an async function; decorate it with a lock of stockade.locks.aio")

    @functools.wraps(function)
    def locked(*args: P.args, **kwargs: P.kwargs) -> R:
        with hold(*args, **kwargs):
            return function(*args, **kwargs)

    return locked


class RWLock:
    """Many readers or one writer, in order of arrival: a waiting writer lets no later reader pass."""

    def __init__(self, read: Lock, write: Lock) -> None:
        self.read = read
        self.write = write


class MultiLease:
    """Several leases held as one."""

    def __init__(self, manager: LockManager[Lease], leases: list[Lease]) -> None:
        self._manager = manager
        self.leases = {lease.name: lease for lease in leases}

    @property
    def lost(self) -> bool:
        """Whether any of them is lost. No I/O."""
        return any(lease.lost for lease in self.leases.values())

    def check(self) -> None:
        """Raise LockLost unless all are still held. No I/O."""
        for lease in self.leases.values():
            lease.check()

    def remaining(self) -> float:
        """Seconds until the first of them ends."""
        return min(lease.remaining() for lease in self.leases.values())

    def release(self) -> None:
        """Give all back, in reverse order; every one is tried, then the first error is raised."""
        run(release_all(self._manager, list(self.leases.values())))


class MultiLock:
    """Several locks taken as one: sorted, all or none, one deadline."""

    def __init__(self, manager: LockManager[Lease], specs: tuple[Spec, ...]) -> None:
        self.manager = manager
        self.specs = specs

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> MultiLease | None:
        """Take all of them before `timeout` seconds are over, or none (None). Errors as for `Lock.acquire`."""
        leases = run(acquire_all(self.manager, self.specs, wait_bound(blocking, timeout)))
        return None if leases is None else MultiLease(self.manager, leases)

    def hold(self, timeout: float | None = None) -> "_HoldAll":
        """`with multi.hold(timeout=2) as leases`; raises LockTimeout after `timeout` seconds."""
        return _HoldAll(self, timeout)


class _HoldAll:
    __slots__ = ("_leases", "_multi", "_timeout")

    def __init__(self, multi: MultiLock, timeout: float | None) -> None:
        self._multi = multi
        self._timeout = timeout
        self._leases: MultiLease | None = None

    def __enter__(self) -> MultiLease:
        leases = self._multi.acquire(timeout=self._timeout)
        if leases is None:
            names = ", ".join(spec.name for spec in self._multi.specs)
            raise LockTimeout(f"locks {names} were not granted within {self._timeout} s", names)
        self._leases = leases
        return leases

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._leases is None:
            return
        trouble: Exception | None = None
        silent = False
        for lease in reversed(self._leases.leases.values()):
            if silent:  # each would take as long
                self._multi.manager.renewer.give_back_later(lease)
                continue
            try:
                silent = not run(self._multi.manager.leave(lease, error))
            except Exception as lost:  # noqa: BLE001 - the others are released first; raised below
                trouble = trouble or lost
        if trouble is not None:
            raise trouble


class Provider(ProviderBase[Lease]):
    """Makes locks; `with` closes it."""

    def lock(self, name: str, **options: Unpack[LockOptions]) -> Lock:
        """A mutual exclusion lock. Options: see `LockOptions`."""
        return Lock(self.manager, self.spec(name, "lock", options))

    def rwlock(self, name: str, **options: Unpack[LockOptions]) -> RWLock:
        """A lock with many readers or one writer. Options: see `LockOptions`."""
        read = self.spec(name, "rw", options, capacity=RW_CAPACITY)
        write = self.spec(name, "rw", options, capacity=RW_CAPACITY, weight=RW_CAPACITY)
        return RWLock(Lock(self.manager, read), Lock(self.manager, write))

    def semaphore(self, name: str, permits: int, **options: Unpack[LockOptions]) -> Lock:
        """A lock that `permits` holders may have at once. Options: see `LockOptions`."""
        count("permits", permits, 1)
        return Lock(self.manager, self.spec(name, "semaphore", options, capacity=permits))

    def multi(self, *names_or_locks: str | Lock, **options: Unpack[LockOptions]) -> MultiLock:
        """Several locks as one, in any order and possibly repeated. Options apply to those given by name.

        Raises:
            ValueError: nothing was named, or a lock belongs to another provider.
        """
        locks = [self.lock(each, **options) if isinstance(each, str) else each for each in names_or_locks]
        if any(lock.manager is not self.manager for lock in locks):
            raise ValueError("locks of several providers have no common order")
        return MultiLock(self.manager, in_order(lock.spec for lock in locks))

    def synchronized(
        self, template: str, *, timeout: float | None = None, **options: Unpack[LockOptions]
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Decorator: run each call under the lock that `template` names, e.g. `"order:{order_id}"`."""

        def decorate(function: Callable[P, R]) -> Callable[P, R]:
            fill = name_from_call(template, function)
            wait_bound(True, timeout)
            self.lock(template, **options)  # refuses wrong options now, not at the first call
            return _decorated(
                function, lambda *args, **kwargs: self.lock(fill(*args, **kwargs), **options).hold(timeout)
            )

        return decorate

    def inspect(self, name: str, kind: Kind = "lock") -> LockInfo:
        """Who holds the lock of this name and who waits."""
        lock_and_kind(name, kind)
        return run(self.manager.call(self.backend.inspect(name, kind)))

    def break_(self, name: str, kind: Kind = "lock") -> bool:
        """Take the lock from whoever holds it; its holder will learn that it is lost. False: nobody held it."""
        lock_and_kind(name, kind)
        return run(self.manager.call(self.backend.break_(name, kind)))

    def raise_fence(self, name: str, at_least: int) -> None:
        """Let every later token of this lock be above `at_least`.

        For a holder whose resource has seen a newer token than a lock server gives that lost its counter (a failover,
        a restore): without this nobody could write until the counter has caught up.

        Raises:
            LockUnavailable: the server, or the majority of the servers, did not answer.
            NotSupported: the provider's tokens live in a database and are never lost.
        """
        run(self.manager.call(self.backend.raise_fence(name, at_least)))

    def close(self) -> None:
        """Stop renewing, finish withdrawals, close connections. Leases still held run out."""
        run(self.manager.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: Any) -> None:
        self.close()


class MemoryLocks(Provider):
    """Locks between the threads of one process: fair, a few microseconds each, nothing left behind."""

    def __init__(self) -> None:
        runtime = SyncRuntime()
        super().__init__(runtime, MemoryBackend(runtime), Lease)
