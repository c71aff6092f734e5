"""What the locks of both APIs have in common: everything that awaits nothing.

`async_api.py` (asyncio) and `sync_api.py` (threads) add the methods that wait, each in its way of calling.
"""

from typing import Any, Generic, TypeVar

from stockade.locks.engine.held_leases import LeaseT
from stockade.locks.engine.lock_request import Spec
from stockade.locks.engine.manager import LockManager
from stockade.locks.errors import LockTimeout

LockT = TypeVar("LockT", bound="LockBase[Any]")
MultiLeaseT = TypeVar("MultiLeaseT", bound="MultiLeaseBase[Any]")
MultiLockT = TypeVar("MultiLockT", bound="MultiLockBase[Any]")


class LockBase(Generic[LeaseT]):
    """One lock of one provider. Holds no state, so it may be shared; what is held is a `Lease`."""

    def __init__(self, manager: LockManager[LeaseT], spec: Spec) -> None:
        self.manager = manager
        self.spec = spec

    @property
    def name(self) -> str:
        """The lock's name."""
        return self.spec.name

    def owned(self) -> bool:
        """Whether the calling task or thread holds it. No I/O."""
        lease = self.manager.held.of_caller(self.spec)
        return lease is not None and lease.alive

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.spec.kind} {self.name!r}>"


class HoldBase(Generic[LeaseT]):
    """The context manager that `lock.hold(timeout=2)` returns."""

    __slots__ = ("_lease", "_lock", "_timeout")

    def __init__(self, lock: LockBase[LeaseT], timeout: float | None) -> None:
        self._lock = lock
        self._timeout = timeout
        self._lease: LeaseT | None = None

    def _granted(self, lease: LeaseT | None) -> LeaseT:
        """Keep the lease until the end of the block; LockTimeout without one."""
        if lease is None:
            name = self._lock.name
            raise LockTimeout(f"lock {name!r} was not granted within {self._timeout} s", name)
        self._lease = lease
        return lease


class RWLockBase(Generic[LockT]):
    """Many readers or one writer, in order of arrival: a waiting writer lets no later reader pass."""

    def __init__(self, read: LockT, write: LockT) -> None:
        self.read = read
        self.write = write


class MultiLeaseBase(Generic[LeaseT]):
    """Several leases held as one."""

    def __init__(self, manager: LockManager[LeaseT], leases: list[LeaseT]) -> None:
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


class MultiLockBase(Generic[LeaseT]):
    """Several locks acquired as one: in one order, all or none, one deadline."""

    def __init__(self, manager: LockManager[LeaseT], specs: tuple[Spec, ...]) -> None:
        self.manager = manager
        self.specs = specs


class MultiHoldBase(Generic[MultiLeaseT, MultiLockT]):
    """The context manager that `multi.hold(timeout=2)` returns."""

    __slots__ = ("_leases", "_multi", "_timeout")

    def __init__(self, multi: MultiLockT, timeout: float | None) -> None:
        self._multi = multi
        self._timeout = timeout
        self._leases: MultiLeaseT | None = None

    def _granted(self, leases: MultiLeaseT | None) -> MultiLeaseT:
        """Keep the leases until the end of the block; LockTimeout without them."""
        if leases is None:
            names = ", ".join(spec.name for spec in self._multi.specs)
            raise LockTimeout(f"locks {names} were not granted within {self._timeout} s", names)
        self._leases = leases
        return leases
