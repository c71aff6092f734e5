"""What clients do to a service: too many requests, the same request twice, requests that are given up.

No negative control has to fail here that does not fail without: `unprotected` sells too much under any load.
"""

import asyncio
from collections.abc import Sequence
from functools import partial

from stockade.lab.faults.pieces import everyone, is_held_away, replace, replace_missing
from stockade.lab.faults.possible import make_fault
from stockade.lab.recording.fault import LOAD, PROCESSES, Disturbed
from stockade.lab.recording.load_control import OVERLOAD
from stockade.lab.site.needs import SMALL_POOL

DUPLICATES = 0.1
MORE, SMALL = "overload", "small-pool"
ONCE, RESTART = "duplicates", "duplicates-restart"
LEAST_CANCELLED, MOST_CANCELLED = 0.05, 0.4


def _begin(disturbed: Disturbed, what: str, fault: str) -> None:
    """Note that a fault does this to the load."""
    disturbed.disturbances.load.setdefault(what, set()).add(fault)


def _ends(disturbed: Disturbed, what: str, fault: str) -> bool:
    """Note that it does so no more; whether no fault does."""
    by = disturbed.disturbances.load.get(what, set())
    by.discard(fault)
    return not by


async def overload(disturbed: Disturbed, *, fault: str) -> Sequence[str]:
    """Ten times the load."""
    _begin(disturbed, "overload", fault)
    disturbed.load.set_rate_factor(OVERLOAD)
    return ("clients",)


async def usual_load(disturbed: Disturbed, *, fault: str) -> None:
    """The load as before, unless another fault overloads too."""
    if _ends(disturbed, "overload", fault):
        disturbed.load.set_rate_factor(1.0)


async def duplicate(disturbed: Disturbed, *, fault: str) -> Sequence[str]:
    """Send a tenth of the requests twice: at once or later."""
    _begin(disturbed, "duplicates", fault)
    disturbed.load.set_duplicate_share(DUPLICATES)
    return (f"{DUPLICATES:.0%} of the requests",)


async def duplicate_no_more(disturbed: Disturbed, *, fault: str) -> None:
    """Send each request once, unless another fault duplicates too."""
    if _ends(disturbed, "duplicates", fault):
        disturbed.load.set_duplicate_share(0.0)


async def duplicate_and_restart(disturbed: Disturbed) -> Sequence[str]:
    """Send a tenth of the requests twice, and start every process anew meanwhile: a later duplicate meets a new one.

    It is in place once they serve: a silent link that came before would keep them from opening.
    """
    await duplicate(disturbed, fault=RESTART)
    hit = [each for each in everyone(disturbed) if each.group is disturbed.processes and each.pid]
    replaced = [each for each in hit if not is_held_away(disturbed, each)]
    for each in replaced:
        disturbed.expect(each.group, each.number)
    await asyncio.gather(*(replace(disturbed, each) for each in replaced))
    return tuple(each.name for each in replaced)


async def restart_done(disturbed: Disturbed) -> None:
    """Send each request once; every process runs."""
    await duplicate_no_more(disturbed, fault=RESTART)
    await replace_missing(disturbed)


async def cancel(disturbed: Disturbed) -> Sequence[str]:
    """Give up a share of the requests, drawn by the seed."""
    share = disturbed.rng.uniform(LEAST_CANCELLED, MOST_CANCELLED)
    disturbed.load.set_cancel_share(share)
    return (f"{share:.0%} of the requests",)


async def cancel_no_more(disturbed: Disturbed) -> None:
    """Wait for every answer."""
    disturbed.load.set_cancel_share(0.0)


FAULTS = (
    make_fault(
        MORE,
        "ten times the requests",
        partial(overload, fault=MORE),
        partial(usual_load, fault=MORE),
        touches=(LOAD,),
    ),
    make_fault(
        SMALL,
        "ten times the requests, and two connections to the database in each process",
        partial(overload, fault=SMALL),
        partial(usual_load, fault=SMALL),
        needs=frozenset({SMALL_POOL}),
        touches=(LOAD,),
    ),
    make_fault(
        ONCE,
        "a tenth of the requests is sent twice",
        partial(duplicate, fault=ONCE),
        partial(duplicate_no_more, fault=ONCE),
        recovery_s=5.0,
        touches=(LOAD,),
    ),
    make_fault(
        RESTART,
        "a tenth of the requests is sent twice, while every service process is killed and replaced",
        duplicate_and_restart,
        restart_done,
        covered_by=("crash",),
        touches=(LOAD, PROCESSES),
        needs_service=True,
    ),
    make_fault(
        "cancellation",
        "a share of the requests is given up",
        cancel,
        cancel_no_more,
        recovery_s=5.0,
        touches=(LOAD,),
    ),
)
