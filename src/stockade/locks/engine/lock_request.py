"""The values that pass between the lock objects and a backend: what is wanted, what was granted, who holds what."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, TypeAlias, TypedDict, runtime_checkable

from stockade.locks.checks import MAX_NAME_BYTES, seconds, text

OnLost: TypeAlias = Literal["cancel", "raise", "ignore"]
Kind: TypeAlias = Literal["lock", "rw", "semaphore"]
NO_LEASE_S = math.inf
TRY_ONCE_S = -math.inf  # as a time limit: one try, which has no limit of its own (a limit of 0 s is one)
CLOSING_PARTS = 5  # of a provider: its waits, its renewal, withdrawals, the backend, what the end of that has begun
RW_CAPACITY = 1_000_000  # a reader weighs 1, a writer all of it


class LockOptions(TypedDict, total=False):
    """Keyword options of `lock`, `rwlock` and `semaphore`.

    Attributes:
        lease_s: how long the server keeps the lock without hearing from the holder, in seconds; renewed at a
            third of it. None: no lease (memory and database sessions only). Default: the provider's.
        renew: keep the lease alive in the background until released. Default True.
        fair: first come, first served, without polling. False polls (Redis "spin"). Default: the provider's.
        reentrant: let the same task or thread take it again. Default False.
        on_lost: "cancel" (the body of `async with` is cancelled and LockLost raised; in threads as "raise"),
            "raise" (only `check()` and leaving the block raise), "ignore". Default "cancel".
        metadata: text kept beside the lock for `inspect`, e.g. host and job. Default empty.
    """

    lease_s: float | None
    renew: bool
    fair: bool
    reentrant: bool
    on_lost: OnLost
    metadata: str


@dataclass(frozen=True, slots=True)
class Spec:
    """What a lock object stands for. `weight` of `capacity` units are taken by one holder (a mutex: 1 of 1)."""

    name: str
    kind: Kind = "lock"
    capacity: int = 1
    weight: int = 1
    lease_s: float = NO_LEASE_S
    renew: bool = True
    fair: bool = True
    reentrant: bool = False
    on_lost: OnLost = "cancel"
    metadata: str = ""

    def __post_init__(self) -> None:
        name, lease_s = self.name, self.lease_s
        if not (type(name) is str and name.isascii() and 0 < len(name) <= MAX_NAME_BYTES):  # quick, for most
            text("the name of a lock", name)
            if not name:
                raise ValueError("a lock needs a name")
        if not (type(self.metadata) is str and self.metadata.isascii()):
            text("metadata", self.metadata, any_size=True)
        if not (type(lease_s) is float and lease_s > 0):
            seconds("lease_s", lease_s, endless=True)
        if not 0 < self.weight <= self.capacity:
            raise ValueError(f"a semaphore needs at least 1 permit, got {self.capacity}")
        if self.on_lost not in ("cancel", "raise", "ignore"):
            raise ValueError(f"on_lost is cancel, raise or ignore, got {self.on_lost!r}")


@dataclass(slots=True)  # frozen or a tuple, it would cost twice as much to make and read
class LockRequest:
    """One request: the owner id exists before anything is sent, so that a retry or a withdrawal can name it."""

    spec: Spec
    owner_id: str


@dataclass(slots=True)
class Grant:
    """The backend's yes.

    Attributes:
        fencing_token: grows with every grant of the name.
        valid_until: monotonic second at which the lease ends, counted from before the request was sent.
    """

    fencing_token: int
    valid_until: float


class Holder(NamedTuple):
    """One holder as `inspect` shows it.

    Attributes:
        owner: id of the request.
        token: its fencing token.
        ttl_s: seconds until its lease ends unless it is renewed; infinite where there is no lease.
        metadata: text that the holder left.
        held_s: for how many seconds it has held the lock; None where that is not known (databases).
        since: second of the grant since 1970 by the server's clock; None where that is not known.
    """

    owner: str
    token: int
    ttl_s: float
    metadata: str = ""
    held_s: float | None = None
    since: float | None = None


class LockInfo(NamedTuple):
    """Who holds a lock and who waits for it, first in line first."""

    name: str
    holders: tuple[Holder, ...]
    waiters: tuple[str, ...]

    @property
    def locked(self) -> bool:
        """Whether anybody holds it."""
        return bool(self.holders)


class Backend(Protocol):
    """What a provider must offer. All methods await only port and server calls.

    Attributes:
        needs_lease: whether only a lease tells it that a holder is gone, so that none may be without.
        patience_s: within how many seconds a call ends that nothing else limits.
        where: the host and port of its server, or servers, for messages; empty in memory.
    """

    needs_lease: bool
    patience_s: float
    where: str

    async def acquire(self, request: LockRequest, deadline: float) -> Grant | None:
        """Wait for a grant until the monotonic second `deadline` (in the past: try once). None: not granted.

        Whatever way it ends but with a grant, cancelled or failed, nothing of the request may stay behind; what the
        server does not answer then is repeated in the background, and nobody waits for that.
        """
        ...

    async def release(self, request: LockRequest) -> bool:
        """Give it back, hand it on. False: it was not the owner's any more. Safe to repeat."""
        ...

    async def extend(self, requests: Sequence[LockRequest], timeout_s: float) -> Sequence[bool | None]:
        """Set each lease to its full length from now; False for those no longer owned. Never acquires.

        None: not known, its server did not answer, while others did. When none did: LockUnavailable.
        """
        ...

    async def inspect(self, name: str, kind: Kind) -> LockInfo:
        """A snapshot for people."""
        ...

    async def break_(self, name: str, kind: Kind) -> bool:
        """Take the lock away from whoever holds it and hand it on. False: nobody held it."""
        ...

    async def raise_fence(self, name: str, at_least: int) -> None:
        """Let every later token of the mutex `name` be above `at_least`; tokens that are above it already stay."""
        ...

    async def close(self) -> None:
        """Let go of connections, within `patience_s` / CLOSING_PARTS seconds."""
        ...


@runtime_checkable
class RetriesReleases(Protocol):
    """A backend that goes on in the background with releases that were not answered, those of `release` too."""

    def release_later(self, request: LockRequest) -> None:
        """Release it in the background, until its lease has run out."""
        ...

    async def give_back(self, request: LockRequest) -> None:
        """Release it now, within a fraction of a second.

        Raises:
            LockUnavailable: it was not answered, and is repeated in the background.
        """
        ...


@runtime_checkable
class CancelsWaits(Protocol):
    """A backend whose callers wait here, not at a server."""

    def cancel_waits(self) -> None:
        """Let every caller that waits end with ProviderClosed, and leave nothing behind."""
        ...


@runtime_checkable
class ChangesLoop(Protocol):
    """A backend, or a connection, that can follow its provider into another event loop."""

    def change_loop(self) -> None:
        """Let go of everything that belongs to the loop of before; nobody holds or awaits anything in it."""
        ...
