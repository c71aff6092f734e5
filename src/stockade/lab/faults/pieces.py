"""What several faults do: choose a process, suspend one at a fault point, bring back those that are away."""

import os
import signal
import time

from stockade.lab.recording.fault import Disturbed, Processes

POINT_WAIT_S = 5.0
BEYOND_LEASE = 1.5  # a pause lasts so many leases at least
SUSPENDED = "suspended"  # in `Site.injected`: when processes were suspended, on the monotonic clock in seconds


async def nothing(disturbed: Disturbed) -> None:
    """There is nothing to do."""


def choose(disturbed: Disturbed, processes: Processes) -> int:
    """One of the processes that run, drawn by the seed; any place where none runs, as other faults have hit them."""
    there = [number for number in range(processes.count) if processes.pid(number)]
    return disturbed.rng.choice(there or range(processes.count))


def service_pids(disturbed: Disturbed) -> list[int]:
    """Ids of the processes that write the database."""
    groups = (disturbed.processes, disturbed.workers)
    return [pid for group in groups for number in range(group.count) if (pid := group.pid(number))]


async def suspend_at_point(disturbed: Disturbed, *points: str) -> bool:
    """Let a service process stop at one of these fault points, drawn by the seed.

    Returns:
        Whether it did, within five seconds.
    """
    number, point = choose(disturbed, disturbed.processes), disturbed.rng.choice(points)
    await disturbed.processes.signal_at_point(number, point, signal.SIGSTOP)
    stopped = await disturbed.processes.was_signalled(number, POINT_WAIT_S)
    disturbed.note(
        f"service process {number} {'stopped' if stopped else 'did not come by'} at the fault point {point!r}"
    )
    disturbed.site.injected[SUSPENDED] = time.monotonic()
    return stopped


async def resume_all(disturbed: Disturbed) -> None:
    """Resume every process that is suspended."""
    disturbed.site.injected.pop(SUSPENDED, None)
    for group in (disturbed.processes, disturbed.workers):
        for number in range(group.count):
            await group.resume(number)


async def replace_missing(disturbed: Disturbed) -> None:
    """Start every process anew that is away or has ended."""
    for group in (disturbed.processes, disturbed.workers):
        for number in range(group.count):
            if not (pid := group.pid(number)) or not _exists(pid):
                await group.replace(number)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
