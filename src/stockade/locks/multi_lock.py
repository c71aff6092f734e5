"""Several locks as one: deduplicated, taken in one global order, all or none, under one deadline.

The order (name, then kind) is what keeps two callers from waiting for each other in a circle
(Coffman et al. 1971; seed 000 sorted its product ids for the same reason).
"""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from stockade.locks.engine.lease import BaseLease
from stockade.locks.engine.lock_request import TRY_ONCE_S, Spec
from stockade.locks.engine.manager import LockManager
from stockade.locks.errors import LockUnavailable

LeaseT = TypeVar("LeaseT", bound=BaseLease)


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
    manager: LockManager[LeaseT], specs: Sequence[Spec], timeout_s: float | None
) -> list[LeaseT] | None:
    """All of `specs` (in order) before `timeout_s` seconds are over, or none and None."""
    started = manager.runtime.now()
    taken: list[LeaseT] = []
    try:
        for spec in specs:
            left_s = timeout_s
            if timeout_s not in (None, TRY_ONCE_S):
                left_s = max(0.0, timeout_s - (manager.runtime.now() - started))
            lease = await manager.acquire(spec, left_s)
            if lease is None:
                break
            taken.append(lease)
        else:
            if all(lease.alive for lease in taken):  # the first ones may have run out while the last one waited
                return taken
    except LockUnavailable:
        for lease in reversed(taken):
            manager.renewer.give_back_later(lease)
        raise
    except BaseException:
        manager.runtime.run_to_end(_give_back(manager, taken))
        raise
    await _give_back(manager, taken)
    return None


async def _give_back(manager: LockManager[Any], taken: Sequence[BaseLease]) -> None:
    """Release what the caller never got: each briefly; once one is not answered, the others in the background."""
    silent = False
    for lease in reversed(taken):
        if silent:
            manager.renewer.give_back_later(lease)
        else:
            silent = not await manager.undo(lease)


async def release_all(manager: LockManager[LeaseT], leases: Sequence[LeaseT]) -> None:
    """Release in reverse order; every one is tried, then the first error is raised.

    Once the server has left one without an answer, the others are released in the background: each would take as long.
    """
    errors: list[Exception] = []
    silent = False
    left = list(leases)
    try:
        while left:
            lease = left.pop()
            if silent:
                manager.renewer.give_back_later(lease)
                continue
            try:
                await manager.release(lease)
            except Exception as error:  # noqa: BLE001 - the others are released first; raised below
                errors.append(error)
                silent = isinstance(error, LockUnavailable)
    finally:  # cancelled, or Ctrl-C: the one on its way takes care of itself
        for lease in left:
            manager.renewer.give_back_later(lease)
    if errors:
        raise errors[0]
