"""What the leases and locks of both APIs have in common: everything that awaits nothing.

`async_api.py` (asyncio) and `sync_api.py` (threads) add the methods that wait, each in its way of calling.
"""

from dataclasses import replace
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from stockade.locks.checks import seconds
from stockade.locks.engine.held_leases import LeaseT
from stockade.locks.engine.held_lock import HeldLock
from stockade.locks.engine.lock_request import Grant, LockRequest, Spec
from stockade.locks.engine.manager import LockManager
from stockade.locks.errors import LockTimeout

LockT = TypeVar("LockT", bound="LockBase[Any]")
MultiLockT = TypeVar("MultiLockT", bound="MultiLockBase[Any]")
HeldT = TypeVar("HeldT")
ErrorType: TypeAlias = type[BaseException] | None  # the first argument of `__exit__`


class Detached(NamedTuple):
    """A lease on its way to another task, thread or process.

    Attributes:
        name: of the lock.
        token: the owner id.
        fencing_token: the number that a fenced resource compares.
    """

    name: str
    token: str
    fencing_token: int


class LeaseBase(HeldLock):
    """A held lock. `token` is its owner id; `fencing_token` is the number for the resource."""

    __slots__ = ("manager",)

    def __init__(self, manager: LockManager[Any], request: LockRequest, grant: Grant, holder: object) -> None:
        super().__init__(
            manager.runtime, manager.reporter, manager.renewer.remove, request=request, grant=grant, holder=holder
        )
        self.manager = manager

    def detach(self) -> Detached:
        """Stop looking after the lease here, without releasing it; pass the result to `Lock.adopt` elsewhere.

        From now on nobody renews it: adopt it before `remaining()` seconds have passed.

        Raises:
            LockLost: there is nothing to hand over.
        """
        self.check()
        self.manager.releaser.drop(self)
        self.mark_released()
        return Detached(self.name, self.token, self.fencing_token)

    async def _extend(self, lease_s: float) -> None:
        seconds("lease_s", lease_s, endless=not self.manager.backend.needs_lease)
        self.check()
        request = replace(self.request, spec=replace(self.request.spec, lease_s=lease_s))
        sent = self.runtime.now()
        if not await self.manager.calls.extend(request):
            self.mark_lost("the server no longer knew it")
        self.check()  # it may have been released, or have ended, meanwhile
        self.request, self.deadline = request, sent + lease_s
        self.manager.renewer.add(self)


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

    def _detached(self, detached: Detached) -> tuple[str, int]:
        """Owner id and fencing token of what `adopt` was given.

        Raises:
            TypeError: it did not come from `lease.detach()`.
            ValueError: it is a lease of another lock.
        """
        if not isinstance(detached, Detached):
            raise TypeError(f"adopt takes the Detached of lease.detach(); got {type(detached).__name__}")
        if detached.name != self.name:
            raise ValueError(f"lock {self.name!r} cannot adopt a lease of {detached.name!r}")
        return detached.token, detached.fencing_token

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.spec.kind} {self.name!r}>"


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


class HoldBase(Generic[HeldT]):
    """The context manager that `hold(timeout=2)` of a lock, or of several, returns."""

    __slots__ = ("_held", "_lock", "_specs", "_timeout")

    def __init__(self, lock: Any, specs: tuple[Spec, ...], timeout: float | None) -> None:
        self._lock = lock
        self._specs = specs
        self._timeout = timeout
        self._held: HeldT | None = None

    def _granted(self, held: HeldT | None) -> HeldT:
        """Keep what was granted until the end of the block; LockTimeout if nothing was."""
        if held is None:
            names = ", ".join(spec.name for spec in self._specs)
            what = f"lock {names!r} was" if len(self._specs) == 1 else f"locks {names} were"
            raise LockTimeout(f"{what} not granted within {self._timeout} s", names)
        self._held = held
        return held
