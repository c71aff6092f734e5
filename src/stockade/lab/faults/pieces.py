"""What several faults do: choose a process, suspend one at a fault point, bring back those that are away."""

import asyncio
import signal
from pathlib import Path

from stockade.lab.recording.fault import Disturbed, Processes

POINT_WAIT_S = 5.0
BEYOND_LEASE = 1.5  # a pause lasts so many leases at least
# That of a holder. Others must have the time to get its lock and to write, also those behind waiters of the same
# process, which a lock server takes for alive for 3 s (three leases of a recording).
HOLDER_BEYOND_LEASE = 4.5
HOLDER_WAIT_S = 8.0  # deadline of a command whose holder is suspended while a server fails over
_ENDED = ("X", "Z")
LONGEST_PAUSE_S = 30.0
SUSPENDED = "suspended"  # in `Site.injected`: the tasks that resume processes


async def nothing(disturbed: Disturbed) -> None:
    """There is nothing to do."""


def choose(disturbed: Disturbed, processes: Processes) -> int:
    """One of the processes that run, drawn by the seed; any place where none runs, as other faults have hit them."""
    there = [number for number in range(processes.count) if _runs(processes.pid(number))]
    return disturbed.rng.choice(there or range(processes.count))


def service_pids(disturbed: Disturbed) -> list[int]:
    """Ids of the processes that write the database."""
    groups = (disturbed.processes, disturbed.workers)
    return [pid for group in groups for number in range(group.count) if (pid := group.pid(number))]


async def suspend_holder(disturbed: Disturbed) -> int | None:
    """Let a service process stop while it has the lock of the most wanted row, and has read its rows.

    On SQLite it may stop before it has read, too: inside its transaction it keeps all others from writing.

    Returns:
        Its number, for `resume_later`; None if none did within five seconds.
    """
    points = ("begin", "loaded") if disturbed.database == "sqlite" else ("loaded",)
    number, point = choose(disturbed, disturbed.processes), disturbed.rng.choice(points)
    if not _runs(disturbed.processes.pid(number)):
        disturbed.note("no service process runs that could stop at a fault point")
        return None
    await disturbed.processes.signal_at_point(number, point, signal.SIGSTOP)
    stopped = await disturbed.processes.was_signalled(number, POINT_WAIT_S)
    disturbed.note(
        f"service process {number} {'stopped' if stopped else 'did not come by'} at the fault point {point!r}"
    )
    if stopped:
        return number
    await disturbed.processes.resume(number)
    return None


def resume_later(disturbed: Disturbed, number: int | None, leases: float = HOLDER_BEYOND_LEASE) -> None:
    """Resume a service process once the lease that it had has ended, or others had as much time to get its lock.

    Much later it would find its deadline over, and write nothing.

    Args:
        disturbed: has the process.
        number: of the process; None: none was suspended.
        leases: how many leases from now.
    """
    if number is None:
        return

    async def resume() -> None:
        await asyncio.sleep(min(leases * disturbed.lease_s, LONGEST_PAUSE_S))
        await disturbed.processes.resume(number)

    disturbed.site.injected.setdefault(SUSPENDED, []).append(asyncio.create_task(resume()))


async def resume_all(disturbed: Disturbed) -> None:
    """Resume every process that is suspended, not before its lease has ended."""
    pauses = disturbed.site.injected.pop(SUSPENDED, [])
    if pauses:
        await asyncio.wait(pauses)
    for group in (disturbed.processes, disturbed.workers):
        for number in range(group.count):
            await group.resume(number)


async def replace_missing(disturbed: Disturbed) -> None:
    """Start every process anew that is away or has ended."""
    for group in (disturbed.processes, disturbed.workers):
        for number in range(group.count):
            if _state(group.pid(number)) in _ENDED:
                await group.replace(number)


def _runs(pid: int) -> bool:
    """Whether there is such a process that nothing has stopped."""
    return _state(pid) not in (*_ENDED, "T")


def _state(pid: int) -> str:
    """The state letter of a process; X if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] if pid else "X"
    except (FileNotFoundError, ProcessLookupError):
        return "X"
