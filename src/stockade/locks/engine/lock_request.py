"""The values that pass between the lock objects and a backend, and the protocol that a backend implements."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, TypedDict, runtime_checkable

from stockade.locks.checks import MAX_NAME_BYTES, flag, seconds, text

OnLost: TypeAlias = Literal["cancel", "raise", "ignore"]
Kind: TypeAlias = Literal["lock", "rw", "semaphore"]
NO_LEASE_S = math.inf
CLOSING_PARTS = 5  # `close` shares its time among waits, renewal, withdrawals, the backend, and what that started
RW_CAPACITY = 1_000_000  # a reader takes 1 unit, a writer all of them


class LockOptions(TypedDict, total=False):
    """Keyword options of `lock`, `rwlock` and `semaphore`.

    Attributes:
        lease_s: for how many seconds the server keeps the lock without a renewal; it is renewed after a third of
            that. None: no lease (memory and database sessions only). Default: the provider's.
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
    """What a lock object describes. One holder takes `weight` of `capacity` units (a mutex: 1 of 1)."""

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
        flags: tuple[Any, ...] = (type(self.renew), type(self.fair), type(self.reentrant))
        if flags != (bool, bool, bool):
            for option in ("renew", "fair", "reentrant"):
                flag(option, getattr(self, option))
        if self.on_lost not in ("cancel", "raise", "ignore"):
            raise ValueError(f"on_lost is cancel, raise or ignore, got {self.on_lost!r}")


@dataclass(slots=True)  # a frozen dataclass or a tuple takes twice as long to make and to read
class LockRequest:
    """One attempt to take one lock.

    Attributes:
        spec: the lock.
        owner_id: names the request at the server. It exists before anything is sent, so that a retry or a withdrawal
            can name it.
        blocking: False: one try, which has no time limit but that of a call to the server. A time limit of 0 s is
            something else: it also limits the call.
    """

    spec: Spec
    owner_id: str
    blocking: bool = True


@dataclass(slots=True)
class Grant:
    """The lock was granted.

    Attributes:
        fencing_token: grows with every grant of the name.
        valid_until: monotonic second at which the lease ends, counted from before the request was sent.
    """

    fencing_token: int
    valid_until: float


class Holder(NamedTuple):
    """One holder as `inspect` shows it.

    Attributes:
        owner: owner id of the request.
        token: its fencing token, the number that a fenced resource compares; not an owner id.
        ttl_s: seconds until its lease ends unless it is renewed; infinite without a lease.
        metadata: the text of the option `metadata`.
        held_s: for how many seconds it has held the lock; None if unknown (databases).
        since: second of the grant since 1970 by the server's clock; None if unknown.
    """

    owner: str
    token: int
    ttl_s: float
    metadata: str = ""
    held_s: float | None = None
    since: float | None = None


class LockInfo(NamedTuple):
    """Who holds a lock and who waits for it, in the order of the queue."""

    name: str
    holders: tuple[Holder, ...]
    waiters: tuple[str, ...]

    @property
    def locked(self) -> bool:
        """Whether anybody holds it."""
        return bool(self.holders)


class Backend(Protocol):
    """What a provider must implement. All methods await only the runtime and calls to the server.

    Attributes:
        needs_lease: whether a lock without a lease could stay for ever after its holder died.
        patience_s: the bound, in seconds, of a call that has no time limit.
        where: host and port of its server, or servers, for messages; empty in memory.
    """

    needs_lease: bool
    patience_s: float
    where: str

    async def acquire(self, request: LockRequest, deadline: float) -> Grant | None:
        """Wait for a grant until the monotonic second `deadline` (one that has passed: try once). None: not granted.

        If it ends without a grant, by cancellation or with an error too, nothing of the request stays at the server.
        A withdrawal that the server does not answer is repeated in the background.
        """
        ...

    async def release(self, request: LockRequest) -> bool:
        """Release the lock and grant it to the next waiter. False: the request did not hold it. Safe to repeat."""
        ...

    async def extend(self, requests: Sequence[LockRequest], timeout_s: float) -> Sequence[bool | None]:
        """Set each lease to its full length from now; False for those no longer held. Never acquires.

        None: unknown, because its server did not answer while others did. When none did: LockUnavailable.
        """
        ...

    async def inspect(self, name: str, kind: Kind) -> LockInfo:
        """A snapshot for people."""
        ...

    async def break_(self, name: str, kind: Kind) -> bool:
        """Take the lock from its holder and grant it to the next waiter. False: nobody held it."""
        ...

    async def raise_fence(self, name: str, at_least: int) -> None:
        """Make every later fencing token of the mutex `name` greater than `at_least`."""
        ...

    async def close(self) -> None:
        """Close the connections, within `patience_s` / CLOSING_PARTS seconds."""
        ...


@runtime_checkable
class RetriesReleases(Protocol):
    """A backend that repeats unanswered releases in the background, those of `release` too."""

    def release_later(self, request: LockRequest) -> None:
        """Release it in the background, until its lease has ended."""
        ...

    async def release_briefly(self, request: LockRequest) -> None:
        """Release it now, within a fraction of a second.

        Raises:
            LockUnavailable: the server did not answer; the release is repeated in the background.
        """
        ...


@runtime_checkable
class CancelsWaits(Protocol):
    """A backend whose callers wait in this process, not at a server."""

    def cancel_waits(self) -> None:
        """End every waiting call with ProviderClosed; nothing of its request stays."""
        ...


@runtime_checkable
class ChangesLoop(Protocol):
    """A backend, or a connection, that can follow its provider into another event loop."""

    def change_loop(self) -> None:
        """Drop everything that belongs to the previous loop; nothing is held or awaited in it."""
        ...
