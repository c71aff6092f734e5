"""Several locks as one: each once, acquired in one global order, all or none, under one deadline.

The order (name, then kind) keeps two callers from waiting for each other in a circle (Coffman et al. 1971).
"""

import math
from collections.abc import Awaitable, Callable, Iterable, Sequence

from stockade.locks.engine.held_leases import LeaseT
from stockade.locks.engine.held_lock import HeldLock
from stockade.locks.engine.lock_request import Spec
from stockade.locks.engine.manager import LockManager
from stockade.locks.engine.release import Releaser
from stockade.locks.errors import LockUnavailable

_UNSEEN_S = 0.05  # after the deadline: a release that begins later is one in the background


def in_order(specs: Iterable[Spec]) -> tuple[Spec, ...]:
    """Each lock once, in the global order; of two kinds of access to one rw lock the stronger.

    Raises:
        ValueError: there is none.
    """
    strongest: dict[tuple[str, str], Spec] = {}
    for spec in specs:
        key = (spec.name, spec.kind)
        if key not in strongest or strongest[key].weight < spec.weight:
            strongest[key] = spec
    if not strongest:
        raise ValueError("several locks were asked for, and none was named")
    return tuple(strongest[key] for key in sorted(strongest))


async def acquire_all(
    manager: LockManager[LeaseT], specs: Sequence[Spec], timeout_s: float | None, *, blocking: bool = True
) -> list[LeaseT] | None:
    """All of `specs`, in order, before `timeout_s` seconds are over; or none and None."""
    started = manager.runtime.now()
    taken: list[LeaseT] = []
    try:
        for spec in specs:
            left_s = None if timeout_s is None else max(0.0, timeout_s - (manager.runtime.now() - started))
            if timeout_s and left_s == 0.0 and blocking:  # else each lock that is left would get a last try of its own
                break
            lease = await manager.acquire(spec, left_s, blocking=blocking)
            if lease is None:
                break
            taken.append(lease)
        else:
            if all(lease.alive for lease in taken):  # the first ones may have ended while the last one waited
                return taken
    except LockUnavailable:
        for lease in reversed(taken):
            manager.releaser.release_later(lease)
        raise
    except BaseException:
        manager.runtime.run_to_end(_release_unseen(manager.releaser, taken))
        raise
    end = started + timeout_s + _UNSEEN_S if blocking and timeout_s is not None else math.inf
    await _release_unseen(manager.releaser, taken, end)
    return None


async def _release_unseen(releaser: Releaser, taken: Sequence[HeldLock], end: float = math.inf) -> None:
    """Release what the caller never received.

    Each briefly; after one without an answer, and after the monotonic second `end`, in the background: each may take
    as long, and the caller's time is over.
    """
    silent = False
    for lease in reversed(taken):
        if silent or lease.runtime.now() > end:
            releaser.release_later(lease)
        else:
            silent = not await releaser.release_unseen(lease)


async def release_all(releaser: Releaser, leases: Sequence[HeldLock]) -> None:
    """Release in reverse order; every one is tried, then the first error is raised.

    After one that the server did not answer, the rest is released in the background: each would take as long.
    """
    errors: list[Exception] = []
    silent = False
    left = list(leases)
    try:
        while left:
            lease = left.pop()
            if silent:
                releaser.release_later(lease)
                continue
            try:
                await releaser.release(lease)
            except Exception as error:  # noqa: BLE001 - the others are released first; raised below
                errors.append(error)
                silent = isinstance(error, LockUnavailable)
    finally:  # cancelled, or Ctrl-C: the release that was sent finishes by itself
        for lease in left:
            releaser.release_later(lease)
    if errors:
        raise errors[0]


async def exit_all(leases: Iterable[LeaseT], exit_one: Callable[[LeaseT, bool], Awaitable[bool]]) -> None:
    """End a block that holds several leases, in reverse order; every one is tried, then the first error is raised.

    Args:
        leases: in the order of their acquisition.
        exit_one: ends the block for one lease; True when the server answered. Its second argument is True when the
            server did not answer for the lease before, so that this one is released in the background.
    """
    first_error: Exception | None = None
    silent = False
    for lease in reversed(list(leases)):
        try:
            silent = not await exit_one(lease, silent)
        except Exception as error:  # noqa: BLE001 - the others are released first; raised below
            first_error = first_error or error
    if first_error is not None:
        raise first_error
