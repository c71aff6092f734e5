"""Which task or thread of this process holds which lock."""

from typing import Generic, TypeAlias, TypeVar

from stockade.locks.engine.held_lock import HeldLock
from stockade.locks.engine.lock_request import Spec
from stockade.locks.errors import LockNotOwned
from stockade.locks.runtime.runtime import Runtime

LeaseT = TypeVar("LeaseT", bound=HeldLock)
_HeldKey: TypeAlias = tuple[str, str, object]  # kind, name, holder


class HeldLeases(Generic[LeaseT]):
    """The leases that tasks or threads of this process hold from one provider.

    A holder can have several leases of one name: of a semaphore, or after a loss. The last one is listed first; its
    `outer` is the one before.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._held: dict[_HeldKey, LeaseT] = {}

    def add(self, lease: LeaseT) -> None:
        """List it as held by `lease.holder`."""
        key = (lease.request.spec.kind, lease.request.spec.name, lease.holder)
        lease.outer = self._held.get(key)
        self._held[key] = lease

    def remove(self, lease: HeldLock) -> None:
        """List it no more."""
        key = (lease.request.spec.kind, lease.request.spec.name, lease.holder)
        top = self._held.get(key)
        if top is lease:
            if lease.outer is None:
                del self._held[key]
            else:
                self._held[key] = lease.outer
            return
        while top is not None and top.outer is not lease:
            top = top.outer
        if top is not None:
            top.outer = lease.outer  # type: ignore[assignment]  # one provider has one type of lease

    def of(self, spec: Spec, holder: object) -> LeaseT | None:
        """The lease of this lock that `holder` has, if any."""
        return self._held.get((spec.kind, spec.name, holder))

    def of_caller(self, spec: Spec) -> LeaseT | None:
        """The lease of this lock that the calling task or thread has, if any."""
        return self._held.get((spec.kind, spec.name, self._runtime.caller()))

    def require(self, spec: Spec) -> LeaseT:
        """The lease of this lock that the calling task or thread has.

        Raises:
            LockNotOwned: it has none.
        """
        lease = self.of_caller(spec)
        if lease is None:
            raise LockNotOwned(
                f"lock {spec.name!r} is not held by this task or thread; a lease taken elsewhere (asyncio.wait_for "
                "starts a task of its own) is released by its own release()",
                spec.name,
            )
        return lease

    def all(self) -> list[LeaseT]:
        """Every listed lease, of a semaphore the last one of each holder."""
        return list(self._held.values())

    def clear(self) -> None:
        """List nothing: the leases belong to the parent process."""
        self._held = {}
