"""What several faults do: choose a process, suspend one at a fault point, bring back those that are away."""

import asyncio
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

from stockade.lab.recording.fault import Disturbed, Processes, ProcessRef

POINT_WAIT_S = 5.0
HOLDERS_TRIED = 2  # processes, one after the other, that are to stop while they have a lock
BEYOND_LEASE = 1.5  # a pause lasts so many leases at least
# That of a holder. Others must have the time to get its lock and to write, also those behind waiters of the same
# process, which a lock server takes for alive for 3 s (three leases of a recording).
HOLDER_BEYOND_LEASE = 4.5
HOLDER_WAIT_S = 8.0  # deadline of a command whose holder is suspended while a server fails over
_ENDED = ("X", "Z")
LONGEST_PAUSE_S = 30.0


async def nothing(disturbed: Disturbed) -> None:
    """There is nothing to do."""


def deciders(disturbed: Disturbed) -> Processes:
    """The processes that decide commands: those of the command log where there is one, else those of the service."""
    return disturbed.workers if disturbed.workers.count else disturbed.processes


def everyone(disturbed: Disturbed) -> Iterator[ProcessRef]:
    """Every process, also one that is away."""
    for group in (disturbed.processes, disturbed.workers):
        for number in range(group.count):
            yield ProcessRef(group, number)


def choose(disturbed: Disturbed, processes: Processes) -> ProcessRef | None:
    """One of the processes that run, drawn by the seed: one that no fault has hit yet, if there is any.

    A throttled one is left to its fault, which would resume it, and whose stops look like those of another one.

    Returns:
        The process; None, with a note in the fault log, if none runs, because other faults have hit them all.
    """
    throttled = {each.number for each, _ in disturbed.disturbances.throttled.values() if each.group is processes}
    running = [number for number in range(processes.count) if number not in throttled and _runs(processes.pid(number))]
    if not running:
        disturbed.note(f"no {processes.name} runs{' that is not throttled' * bool(throttled)}")
        return None
    chosen = disturbed.disturbances.chosen
    fresh = [number for number in running if (processes.name, number) not in chosen]
    if not fresh:
        chosen -= {(processes.name, number) for number in running}
    number = disturbed.rng.choice(fresh or running)
    chosen.add((processes.name, number))
    return ProcessRef(processes, number)


def service_pids(disturbed: Disturbed) -> list[int]:
    """Ids of the processes that write the database."""
    return [process.pid for process in everyone(disturbed) if process.pid]


async def signal_at_point(disturbed: Disturbed, process: ProcessRef, point: str, number: int) -> bool:
    """Let a process get a signal when its store is at a fault point; whether it came by within five seconds."""
    pid = process.pid
    if not await process.group.signal_at_point(process.number, point, number):
        disturbed.note(f"{process.name} does not serve")
        return False
    if await process.group.was_signalled(process.number, POINT_WAIT_S):
        return True
    disturbed.note(f"{process.name} did not come by the fault point {point!r} within {POINT_WAIT_S:.0f} s")
    if not process.pid:
        disturbed.note("it has ended by itself")
    elif process.pid != pid:
        disturbed.note("it was too slow to take the signal back, and was replaced")
        disturbed.expect(*process)
        await _disturb_disk(disturbed)
    return False


async def leave_holder_suspended(disturbed: Disturbed) -> ProcessRef | None:
    """Let a process stop while it has the lock of the most wanted row, and has read its rows.

    On SQLite it may stop before it has read, too: inside its transaction it keeps all others from writing. Under a
    command log the process is a log worker, and the partition is what it has.

    A process may have waited for the lock all the time, under a slow link for instance, so another one is asked then.

    Returns:
        Which one, for `resume_later`; None, with a note, if none did.
    """
    points = ("begin", "loaded") if disturbed.database == "sqlite" else ("loaded",)
    for _ in range(HOLDERS_TRIED):
        process, point = choose(disturbed, deciders(disturbed)), disturbed.rng.choice(points)
        if process is None:
            return None
        if await signal_at_point(disturbed, process, point, signal.SIGSTOP):
            disturbed.note(f"stopped at the fault point {point!r}")
            return process
        await process.group.resume(process.number)
    return None


def resume_later(disturbed: Disturbed, process: ProcessRef | None, leases: float = HOLDER_BEYOND_LEASE) -> None:
    """Resume a process once the lease that it had has ended, or others had as much time to get its lock.

    Much later it would find its deadline over, and write nothing.

    Args:
        disturbed: has the process.
        process: which one; None: none was suspended.
        leases: how many leases from now.
    """
    if process is None:
        return

    async def resume() -> None:
        await asyncio.sleep(min(leases * disturbed.lease_s, LONGEST_PAUSE_S))
        await process.group.resume(process.number)

    disturbed.disturbances.resuming.append(asyncio.create_task(resume()))


async def resume_all(disturbed: Disturbed) -> None:
    """Resume every process that is suspended, not before its lease has ended."""
    pauses = disturbed.disturbances.resuming.copy()
    disturbed.disturbances.resuming.clear()
    if pauses:
        await asyncio.wait(pauses)
    for process in everyone(disturbed):
        await process.group.resume(process.number)
        if process.pid:
            disturbed.expect(*process)
    for each in pauses:
        each.result()  # after all are resumed: an error of one pause must leave no other process stopped


def hold_away(disturbed: Disturbed, fault: str, process: ProcessRef) -> None:
    """Note that a fault kills a process: until it is healed, no other fault brings it back.

    It is noted before: a healing of something else, at the same time, starts what has ended.

    Args:
        disturbed: notes it.
        fault: name of the fault.
        process: which one.
    """
    disturbed.disturbances.held_away.setdefault(fault, []).append(process)


async def kill_at_point(disturbed: Disturbed, fault: str, process: ProcessRef, point: str) -> bool:
    """SIGKILL a process at a fault point, and hold it away; whether it came by. If not, it is left alone."""
    hold_away(disturbed, fault, process)
    came = await signal_at_point(disturbed, process, point, signal.SIGKILL)
    if not came:
        disturbed.disturbances.held_away[fault].remove(process)
    return came


async def replace(disturbed: Disturbed, process: ProcessRef, environment: Mapping[str, str] | None = None) -> None:
    """Start a process anew; what a fault has done to the disk of a SQLite file is done to the new process, too.

    Args:
        disturbed: has the process.
        process: which one.
        environment: see `fault.Processes.replace`.
    """
    await process.group.replace(process.number, environment)
    await _disturb_disk(disturbed)


async def _disturb_disk(disturbed: Disturbed) -> None:
    """Do to a new process what a fault has done to the disk of a SQLite file, which the processes themselves write."""
    if not disturbed.site.database.is_server:
        await disturbed.site.database.disk.seize()


async def replace_missing(disturbed: Disturbed, fault: str = "") -> None:
    """Start every process anew that is away or has ended, but those that other faults hold away.

    Args:
        disturbed: has the processes.
        fault: that is healed, if it has killed some.
    """
    disturbed.disturbances.held_away.pop(fault, None)
    for process in everyone(disturbed):
        if _state(process.pid) in _ENDED and not is_held_away(disturbed, process):
            await replace(disturbed, process)
            disturbed.expect(*process)


def is_held_away(disturbed: Disturbed, process: ProcessRef) -> bool:
    """Whether a fault that is active has killed this process."""
    return any(process in some for some in disturbed.disturbances.held_away.values())


def is_stopped(process: ProcessRef) -> bool:
    """Whether a signal has stopped it."""
    return _state(process.pid) == "T"


def _runs(pid: int) -> bool:
    """Whether there is such a process that nothing has stopped."""
    return _state(pid) not in (*_ENDED, "T")


def _state(pid: int) -> str:
    """The state letter of a process; X if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] if pid else "X"
    except (FileNotFoundError, ProcessLookupError):
        return "X"
