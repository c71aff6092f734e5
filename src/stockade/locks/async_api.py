"""The asyncio API: `async with locks.lock("order:42"): ...`. The same for threads: `sync_api.py`.

What awaits nothing is in `lock_base.py` and `provider_base.py`.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, Unpack

from stockade.locks.checks import fence, lock_and_kind
from stockade.locks.engine.lock_request import Backend, Kind, LockInfo, LockOptions
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
from stockade.locks.runtime.async_runtime import AsyncRuntime

P = ParamSpec("P")
R = TypeVar("R")
HeldT = TypeVar("HeldT", bound="Lease | MultiLease")


class Lease(LeaseBase):
    """A held lock. `token` is its owner id; `fencing_token` is the number for the resource."""

    __slots__ = ()

    async def release(self) -> None:
        """Release it. A second call is harmless.

        Raises:
            LockLost: it had ended before.
            LockUnavailable: the server did not answer; call again, or let the lease end.
        """
        await self.manager.releaser.release(self)

    async def extend(self, lease_s: float) -> None:
        """Set it to `lease_s` seconds from now on (also the length of later renewals).

        Raises:
            LockLost: it is not held any more; this call never acquires it again.
            LockUnavailable: the server did not answer.
        """
        await self._extend(lease_s)

    async def wait_lost(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109 - as in threading
        """Wait until it is lost (True), or until it is released or `timeout` seconds are over (False)."""
        return await self._wait_lost(timeout)

    async def __aenter__(self) -> Self:
        watch(self)
        return self

    async def __aexit__(self, kind: ErrorType, error: BaseException | None, trace: TracebackType | None) -> None:
        await exit_block(self, error)


def watch(lease: Lease) -> None:
    """Let a loss cancel this task until `exit_block`, unless the lock's option `on_lost` says otherwise."""
    if lease.request.spec.on_lost == "cancel" and isinstance(task := lease.runtime.caller(), asyncio.Task):
        lease.block_task, lease.block_cancelling = task, task.cancelling()


async def exit_block(lease: Lease, error: BaseException | None, *, silent: bool = False) -> bool:
    """Release at the end of a block; a cancellation that the loss has caused becomes LockLost (as asyncio.timeout).

    Args:
        lease: of the block.
        error: what the body raised.
        silent: the server has just left another release without an answer: this one goes to the background at once.

    Returns:
        False: the server did not answer.
    """
    lease.block_task = None
    cancelled_by_loss = False
    if lease.interrupted:
        lease.interrupted = False
        task = asyncio.current_task()
        cancelled_by_loss = (
            task is not None and task.uncancel() <= lease.block_cancelling and isinstance(error, asyncio.CancelledError)
        )
    releaser = lease.manager.releaser
    if silent:
        releaser.release_later(lease)
    answered = not silent and await releaser.exit(lease, error)
    if cancelled_by_loss:
        raise lease.lost_error() from error
    return answered


class _Hold(HoldBase[HeldT]):
    """`async with lock.hold(timeout=2) as lease`."""

    __slots__ = ()

    async def __aenter__(self) -> HeldT:
        held = self._granted(await self._lock.acquire(timeout=self._timeout))
        await held.__aenter__()
        return held

    async def __aexit__(self, kind: ErrorType, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._held is not None:
            await self._held.__aexit__(kind, error, trace)


class Lock(LockBase[Lease]):
    """One lock of one provider. Holds no state, so tasks may share it; what is held is a `Lease`."""

    async def acquire(
        self,
        blocking: bool = True,
        timeout: float | None = None,  # noqa: ASYNC109 - as in threading
        *,
        token: str | None = None,
    ) -> Lease | None:
        """Acquire the lock. None: it was not granted in time.

        Args:
            blocking: False tries once.
            timeout: seconds to wait at most; None or -1: no limit.
            token: last part of the owner id, a word without dots, unique to this acquisition (default: a number).

        Raises:
            LockInTransaction: the caller is inside a transaction of the store.
            LockReentry: this task holds it already.
            LockUnavailable: the server cannot be reached.
        """
        timeout_s = timeout_of(blocking, timeout)
        return await self.manager.acquire(self.spec, timeout_s, blocking=blocking, owner_word=token)

    async def try_acquire(self) -> Lease | None:
        """Acquire the lock if it is free now."""
        return await self.manager.acquire(self.spec, None, blocking=False)

    def hold(self, timeout: float | None = None) -> _Hold[Lease]:
        """`async with lock.hold(timeout=2) as lease`; raises LockTimeout after `timeout` seconds."""
        return _Hold(self, (self.spec,), timeout_of(True, timeout))

    async def release(self) -> None:
        """Release what this task holds.

        Raises:
            LockNotOwned: this task holds no lease of it.
            LockLost: the lease had ended before.
            LockUnavailable: the server did not answer; call again, or let the lease end.
        """
        await self.manager.releaser.release(self.manager.held.require(self.spec))

    async def locked(self) -> bool:
        """Whether anybody holds it."""
        return (await self.inspect()).locked

    async def inspect(self) -> LockInfo:
        """Who holds it and who waits."""
        return await self.manager.calls.run(self.manager.backend.inspect(self.spec.name, self.spec.kind))

    async def adopt(self, detached: Detached) -> Lease:
        """Take over a lease that was detached in another task, thread or process.

        Raises:
            LockNotOwned: it has ended meanwhile.
        """
        return await self.manager.adopt(self.spec, *self._detached(detached))

    async def __aenter__(self) -> Lease:
        lease = await self.manager.acquire(self.spec, None)
        if lease is None:  # only a wait with a limit can end without a grant
            raise LockTimeout(f"lock {self.name!r} was not granted", self.name)
        watch(lease)
        return lease

    async def __aexit__(self, kind: ErrorType, error: BaseException | None, trace: TracebackType | None) -> None:
        await exit_block(self.manager.held.require(self.spec), error)

    def __call__(self, function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
        """As a decorator of an `async def`: every call runs under the lock."""
        return _decorated(function, lambda *args, **kwargs: self.hold())


def _decorated(function: Callable[P, Awaitable[R]], hold: Callable[..., _Hold[Lease]]) -> Callable[P, Awaitable[R]]:
    if not asyncio.iscoroutinefunction(function):
        raise TypeError(f"{function!r} is no async function; decorate it with a lock of stockade.locks")

    @functools.wraps(function)
    async def locked(*args: P.args, **kwargs: P.kwargs) -> R:
        async with hold(*args, **kwargs):
            return await function(*args, **kwargs)

    return locked


class RWLock(RWLockBase[Lock]):
    """Many readers or one writer, in order of arrival: a waiting writer lets no later reader pass."""


class MultiLease(MultiLeaseBase[Lease]):
    """Several leases held as one."""

    async def release(self) -> None:
        """Release all, in reverse order; every one is tried, then the first error is raised."""
        await release_all(self._manager.releaser, list(self.leases.values()))

    async def __aenter__(self) -> Self:
        for lease in self.leases.values():
            watch(lease)
        return self

    async def __aexit__(self, kind: ErrorType, error: BaseException | None, trace: TracebackType | None) -> None:
        await exit_all(self.leases.values(), lambda lease, silent: exit_block(lease, error, silent=silent))


class MultiLock(MultiLockBase[Lease]):
    """Several locks acquired as one: in one order, all or none, one deadline."""

    async def acquire(  # the same arguments as for one lock
        self,
        blocking: bool = True,
        timeout: float | None = None,  # noqa: ASYNC109 - as in threading
    ) -> MultiLease | None:
        """Acquire all of them before `timeout` seconds are over, or none (None). Errors as for `Lock.acquire`."""
        timeout_s = timeout_of(blocking, timeout)
        leases = await acquire_all(self.manager, self.specs, timeout_s, blocking=blocking)
        return None if leases is None else MultiLease(self.manager, leases)

    def hold(self, timeout: float | None = None) -> _Hold[MultiLease]:
        """`async with multi.hold(timeout=2) as leases`; raises LockTimeout after `timeout` seconds."""
        return _Hold(self, self.specs, timeout_of(True, timeout))


class Provider(ProviderBase[Lease, Lock, RWLock, MultiLock]):
    """Makes locks; `async with` closes it."""

    _lock_type, _rwlock_type, _multi_lock_type = Lock, RWLock, MultiLock

    def __init__(
        self, runtime: AsyncRuntime, backend: Backend, lease_type: type[Lease], defaults: LockOptions | None = None
    ) -> None:
        super().__init__(runtime, backend, lease_type, defaults)
        runtime.on_loop_change = self.manager.change_loop

    def synchronized(
        self, template: str, *, timeout: float | None = None, **options: Unpack[LockOptions]
    ) -> Callable[[Callable[P, Awaitable[R]]], Callable[P, Awaitable[R]]]:
        """Decorator: run each call under the lock that `template` names, e.g. `"order:{order_id}"`.

        Raises:
            TypeError, ValueError: (when the function is defined) the template names what the function does not take,
                or an option or time limit makes no sense.
        """
        self._check_synchronized(template, timeout, options)

        def decorate(function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
            name_of = name_from_call(template, function)
            return _decorated(
                function, lambda *args, **kwargs: self.lock(name_of(*args, **kwargs), **options).hold(timeout)
            )

        return decorate

    async def inspect(self, name: str, kind: Kind = "lock") -> LockInfo:
        """Who holds the lock of this name and who waits."""
        lock_and_kind(name, kind)
        return await self.manager.calls.run(self.backend.inspect(name, kind))

    async def break_(self, name: str, kind: Kind = "lock") -> bool:
        """Take the lock from its holder, which then finds it lost. False: nobody held it."""
        lock_and_kind(name, kind)
        return await self.manager.calls.run(self.backend.break_(name, kind))

    async def raise_fence(self, name: str, at_least: int) -> None:
        """Make every later fencing token of this lock greater than `at_least`.

        A lock server can lose its counter (a failover, a restore), while the resource has seen a greater token. Without
        this call nobody could write to the resource until the counter has caught up.

        Raises:
            LockUnavailable: the server, or the majority of the servers, did not answer.
            NotSupported: the provider's tokens live in a database and are never lost.
            TypeError, ValueError: `at_least` is no whole number from 0 to the microseconds of the year 2255.
        """
        fence(name, at_least)
        await self.manager.calls.run(self.backend.raise_fence(name, at_least))

    async def close(self) -> None:
        """Stop the renewal, finish withdrawals, close connections. Leases still held end by themselves."""
        await self.manager.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: Any) -> None:
        await self.close()


class MemoryLocks(Provider):
    """Locks between the tasks of one loop: fair, a few microseconds each, nothing left behind."""

    def __init__(self) -> None:
        runtime = AsyncRuntime()
        super().__init__(runtime, MemoryBackend(runtime), Lease)
