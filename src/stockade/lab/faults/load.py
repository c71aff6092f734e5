"""What clients do to a service: too many requests, the same request twice, requests that are given up.

No negative control has to fail here that does not fail without: `unprotected` sells too much under any load.
"""

from stockade.lab.faults.pieces import replace_missing
from stockade.lab.faults.possible import make_fault
from stockade.lab.recording.fault import Disturbed
from stockade.lab.recording.load_control import OVERLOAD
from stockade.lab.site.needs import SMALL_POOL

DUPLICATES = 0.1
LEAST_CANCELLED, MOST_CANCELLED = 0.05, 0.4


async def overload(disturbed: Disturbed) -> None:
    """Ten times the load."""
    disturbed.load.set_rate_factor(OVERLOAD)


async def usual_load(disturbed: Disturbed) -> None:
    """The load as before."""
    disturbed.load.set_rate_factor(1.0)


async def duplicate(disturbed: Disturbed) -> None:
    """Send a tenth of the requests twice: at once or later."""
    disturbed.load.set_duplicate_share(DUPLICATES)


async def duplicate_no_more(disturbed: Disturbed) -> None:
    """Send each request once."""
    disturbed.load.set_duplicate_share(0.0)


async def duplicate_and_restart(disturbed: Disturbed) -> None:
    """Send a tenth of the requests twice, and start every process anew meanwhile: a later duplicate meets a new one."""
    await duplicate(disturbed)
    for number in range(disturbed.processes.count):
        await disturbed.processes.replace(number)


async def restart_done(disturbed: Disturbed) -> None:
    """Send each request once; every process runs."""
    await duplicate_no_more(disturbed)
    await replace_missing(disturbed)


async def cancel(disturbed: Disturbed) -> None:
    """Give up a share of the requests, drawn by the seed."""
    share = disturbed.rng.uniform(LEAST_CANCELLED, MOST_CANCELLED)
    disturbed.load.set_cancel_share(share)
    disturbed.note(f"{share:.0%} of the requests")


async def cancel_no_more(disturbed: Disturbed) -> None:
    """Wait for every answer."""
    disturbed.load.set_cancel_share(0.0)


FAULTS = (
    make_fault("overload", "ten times the requests", overload, usual_load),
    make_fault(
        "small-pool",
        "ten times the requests, and two connections to the database in each process",
        overload,
        usual_load,
        needs=frozenset({SMALL_POOL}),
    ),
    make_fault("duplicates", "a tenth of the requests is sent twice", duplicate, duplicate_no_more, recovery_s=5.0),
    make_fault(
        "duplicates-restart",
        "a tenth of the requests is sent twice, while every service process is killed and replaced",
        duplicate_and_restart,
        restart_done,
        covered_by=("crash",),
    ),
    make_fault("cancellation", "a share of the requests is given up", cancel, cancel_no_more, recovery_s=5.0),
)
