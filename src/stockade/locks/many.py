"""Several locks as one: deduplicated, taken in one global order, all or none, under one deadline.

The order (name, then kind) is what keeps two callers from waiting for each other in a circle
(Coffman et al. 1971; seed 000 sorted its product ids for the same reason).
"""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from stockade.locks.ask import Spec
from stockade.locks.keeper import Keeper
from stockade.locks.lease import BaseLease

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


async def acquire_all(keeper: Keeper[LeaseT], specs: Sequence[Spec], timeout_s: float | None) -> list[LeaseT] | None:
    """All of `specs` (in order) before `timeout_s` seconds are over, or none and None."""
    started = keeper.port.now()
    taken: list[LeaseT] = []
    try:
        for spec in specs:
            left_s = None if timeout_s is None else max(0.0, timeout_s - (keeper.port.now() - started))
            lease = await keeper.acquire(spec, left_s)
            if lease is None:
                break
            taken.append(lease)
        else:
            if all(lease.alive for lease in taken):  # the first ones may have run out while the last one waited
                return taken
    except BaseException:
        for lease in reversed(taken):
            keeper.port.finish(_give_back(keeper, lease))
        raise
    for lease in reversed(taken):
        await _give_back(keeper, lease)
    return None


async def _give_back(keeper: Keeper[Any], lease: BaseLease) -> None:
    """Release, or leave it to the background or to its deadline: the caller never got it."""
    await keeper.leave(lease, LookupError("not all locks could be had"))


async def release_all(keeper: Keeper[LeaseT], leases: Sequence[LeaseT]) -> None:
    """Release in reverse order; every one is tried, then the first error is raised."""
    errors: list[Exception] = []
    for lease in reversed(leases):
        try:
            await keeper.release(lease)
        except Exception as error:  # noqa: BLE001 - the others are released first; raised below
            errors.append(error)
    if errors:
        raise errors[0]
