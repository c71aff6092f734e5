"""The API for threads: `with locks.lock("order:42"): ...`. The same for asyncio: `async_api.py`.

Every method that waits drives a coroutine to its end with `run`. What awaits nothing is in `lock_base.py` and
`provider_base.py`.
"""

import functools
import inspect
from collections.abc import Callable
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, Unpack

from stockade.locks.checks import fence, lock_and_kind
from stockade.locks.engine.lock_request import Kind, LockInfo, LockOptions
from stockade.locks.errors import LockTimeout
from stockade.locks.lock_base import (
    Detached,
    ErrorType,
    HoldBase,
    LeaseBase,
    LockBase,
    MultiLeaseBase,
    MultiLockBase,
    RWLockBase,
)
from stockade.locks.memory import MemoryBackend
from stockade.locks.multi_lock import acquire_all, exit_all, release_all
from stockade.locks.provider_base import ProviderBase, name_from_call, timeout_of
from stockade.locks.runtime.sync_runtime import SyncRuntime, run

P = ParamSpec("P")
R = TypeVar("R")
HeldT = TypeVar("HeldT", bound="Lease | MultiLease")


class Lease(LeaseBase):
    """A held lock. `token` is its owner id; `fencing_token` is the number for the resource."""

    __slots__ = ()

    def release(self) -> None:
        """Release it. A second call is harmless.

        Raises:
            LockLost: it had ended before.
            LockUnavailable: the server did not answer; call again, or let the lease end.
        """
        run(self.manager.releaser.release(self))

    def extend(self, lease_s: float) -> None:
        """Set it to `lease_s` seconds from now on (also the length of later renewals).

        Raises:
            LockLost: it is not held any more; this call never acquires it again.
            LockUnavailable: the server did not answer.
        """
        run(self._extend(lease_s))

    def wait_lost(self, timeout: float | None = None) -> bool:
        """Wait until it is lost (True), or until it is released or `timeout` seconds are over (False)."""
        return run(self._wait_lost(timeout))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: ErrorType, error: BaseException | None, trace: TracebackType | None) -> None:
        run(self.manager.releaser.exit(self, error))


class _Hold(HoldBase[HeldT]):
    """`with lock.hold(timeout=2) as lease`."""

    __slots__ = ()

    def __enter__(self) -> HeldT:
        held = self._granted(self._lock.acquire(timeout=self._timeout))
        held.__enter__()
        return held

    def __exit__(self, kind: ErrorType, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._held is not None:
            self._held.__exit__(kind, error, trace)


class Lock(LockBase[Lease]):
    """One lock of one provider. Holds no state, so threads may share it; what is held is a `Lease`."""

    def acquire(self, blocking: bool = True, timeout: float | None = None, *, token: str | None = None) -> Lease | None:
        """Acquire the lock. None: it was not granted in time.

        Args:
            blocking: False tries once.
            timeout: seconds to wait at most; None or -1: no limit.
            token: last part of the owner id, a word without dots, unique to this acquisition (default: a number).

        Raises:
            LockInTransaction: the caller is inside a transaction of the store.
            LockReentry: this thread holds it already.
            LockUnavailable: the server cannot be reached.
        """
        timeout_s = timeout_of(blocking, timeout)
        return run(self.manager.acquire(self.spec, timeout_s, blocking=blocking, owner_word=token))

    def try_acquire(self) -> Lease | None:
        """Acquire the lock if it is free now."""
        return run(self.manager.acquire(self.spec, None, blocking=False))

    def hold(self, timeout: float | None = None) -> _Hold[Lease]:
        """`with lock.hold(timeout=2) as lease`; raises LockTimeout after `timeout` seconds."""
        return _Hold(self, (self.spec,), timeout_of(True, timeout))

    def release(self) -> None:
        """Release what this thread holds.

        Raises:
            LockNotOwned: this thread holds no lease of it.
            LockLost: the lease had ended before.
            LockUnavailable: the server did not answer; call again, or let the lease end.
        """
        run(self.manager.releaser.release(self.manager.held.require(self.spec)))

    def locked(self) -> bool:
        """Whether anybody holds it."""
        return self.inspect().locked

    def inspect(self) -> LockInfo:
        """Who holds it and who waits."""
        return run(self.manager.calls.run(self.manager.backend.inspect(self.spec.name, self.spec.kind)))

    def adopt(self, detached: Detached) -> Lease:
        """Take over a lease that was detached in another thread or process.

        Raises:
            LockNotOwned: it has ended meanwhile.
        """
        return run(self.manager.adopt(self.spec, *self._detached(detached)))

    def __enter__(self) -> Lease:
        lease = run(self.manager.acquire(self.spec, None))
        if lease is None:  # only a wait with a limit can end without a grant
            raise LockTimeout(f"lock {self.name!r} was not granted", self.name)
        return lease

    def __exit__(self, kind: ErrorType, error: BaseException | None, trace: TracebackType | None) -> None:
        run(self.manager.releaser.exit(self.manager.held.require(self.spec), error))

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """As a decorator of a `def`: every call runs under the lock."""
        return _decorated(function, lambda *args, **kwargs: self.hold())


def _decorated(function: Callable[P, R], hold: Callable[..., _Hold[Lease]]) -> Callable[P, R]:
    if inspect.iscoroutinefunction(function):
        raise TypeError(f"{function!r} is an async function; decorate it with a lock of stockade.locks.aio")

    @functools.wraps(function)
    def locked(*args: P.args, **kwargs: P.kwargs) -> R:
        with hold(*args, **kwargs):
            return function(*args, **kwargs)

    return locked


class RWLock(RWLockBase[Lock]):
    """Many readers or one writer, in order of arrival: a waiting writer lets no later reader pass."""


class MultiLease(MultiLeaseBase[Lease]):
    """Several leases held as one."""

    def release(self) -> None:
        """Release all, in reverse order; every one is tried, then the first error is raised."""
        run(release_all(self._manager.releaser, list(self.leases.values())))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: ErrorType, error: BaseException | None, trace: TracebackType | None) -> None:
        run(exit_all(self.leases.values(), lambda lease, silent: _exit_one(lease, error, silent=silent)))


class MultiLock(MultiLockBase[Lease]):
    """Several locks acquired as one: in one order, all or none, one deadline."""

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> MultiLease | None:
        """Acquire all of them before `timeout` seconds are over, or none (None). Errors as for `Lock.acquire`."""
        timeout_s = timeout_of(blocking, timeout)
        leases = run(acquire_all(self.manager, self.specs, timeout_s, blocking=blocking))
        return None if leases is None else MultiLease(self.manager, leases)

    def hold(self, timeout: float | None = None) -> _Hold[MultiLease]:
        """`with multi.hold(timeout=2) as leases`; raises LockTimeout after `timeout` seconds."""
        return _Hold(self, self.specs, timeout_of(True, timeout))


async def _exit_one(lease: Lease, error: BaseException | None, *, silent: bool) -> bool:
    releaser = lease.manager.releaser
    if silent:
        releaser.release_later(lease)
        return False
    return await releaser.exit(lease, error)


class Provider(ProviderBase[Lease, Lock, RWLock, MultiLock]):
    """Makes locks; `with` closes it."""

    _lock_type, _rwlock_type, _multi_lock_type = Lock, RWLock, MultiLock

    def synchronized(
        self, template: str, *, timeout: float | None = None, **options: Unpack[LockOptions]
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Decorator: run each call under the lock that `template` names, e.g. `"order:{order_id}"`.

        Raises:
            TypeError, ValueError: (when the function is defined) the template names what the function does not take,
                or an option or time limit makes no sense.
        """
        self._check_synchronized(template, timeout, options)

        def decorate(function: Callable[P, R]) -> Callable[P, R]:
            name_of = name_from_call(template, function)
            return _decorated(
                function, lambda *args, **kwargs: self.lock(name_of(*args, **kwargs), **options).hold(timeout)
            )

        return decorate

    def inspect(self, name: str, kind: Kind = "lock") -> LockInfo:
        """Who holds the lock of this name and who waits."""
        lock_and_kind(name, kind)
        return run(self.manager.calls.run(self.backend.inspect(name, kind)))

    def break_(self, name: str, kind: Kind = "lock") -> bool:
        """Take the lock from its holder, which then finds it lost. False: nobody held it."""
        lock_and_kind(name, kind)
        return run(self.manager.calls.run(self.backend.break_(name, kind)))

    def raise_fence(self, name: str, at_least: int) -> None:
        """Make every later fencing token of this lock greater than `at_least`.

        A lock server can lose its counter (a failover, a restore), while the resource has seen a greater token. Without
        this call nobody could write to the resource until the counter has caught up.

        Raises:
            LockUnavailable: the server, or the majority of the servers, did not answer.
            NotSupported: the provider's tokens live in a database and are never lost.
            TypeError, ValueError: `at_least` is no whole number from 0 to the microseconds of the year 2255.
        """
        fence(name, at_least)
        run(self.manager.calls.run(self.backend.raise_fence(name, at_least)))

    def close(self) -> None:
        """Stop the renewal, finish withdrawals, close connections. Leases still held end by themselves."""
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
