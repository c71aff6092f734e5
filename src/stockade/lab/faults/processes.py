"""A service process is killed or suspended, at any moment or at a fault point of its store.

A suspended process is stopped beyond its lease, as by a long garbage collection or a suspended machine: the next waiter
gets the lock, and the first holder writes late (Kleppmann, "How to do distributed locking", 2016).
"""

import signal

from stockade.lab.faults.pieces import (
    BEYOND_LEASE,
    HOLDER_WAIT_S,
    POINT_WAIT_S,
    choose,
    replace_missing,
    resume_all,
    resume_later,
    suspend_holder,
)
from stockade.lab.faults.possible import make_fault
from stockade.lab.recording.fault import Disturbed


async def kill(disturbed: Disturbed) -> None:
    """SIGKILL, at any moment."""
    number = choose(disturbed, disturbed.processes)
    await disturbed.processes.kill(number)
    disturbed.note(f"service process {number}")


async def kill_at_point(disturbed: Disturbed) -> None:
    """SIGKILL, when the store is at a fault point."""
    number = choose(disturbed, disturbed.processes)
    point = disturbed.rng.choice(("begin", "loaded", "saved", "committed"))
    await disturbed.processes.signal_at_point(number, point, signal.SIGKILL)
    hit = await disturbed.processes.was_signalled(number, POINT_WAIT_S)
    if not hit:  # e.g. all its transactions end in a conflict before this point
        await disturbed.processes.kill(number)
    disturbed.note(f"service process {number} {f'at the fault point {point!r}' if hit else 'at no fault point'}")


async def pause(disturbed: Disturbed) -> None:
    """SIGSTOP, at any moment."""
    number = choose(disturbed, disturbed.processes)
    await disturbed.processes.pause(number)
    resume_later(disturbed, number, BEYOND_LEASE)
    disturbed.note(f"service process {number}")


async def pause_at_point(disturbed: Disturbed) -> None:
    """SIGSTOP, when the store has a lock and is between reading and writing."""
    resume_later(disturbed, await suspend_holder(disturbed))


FAULTS = (
    make_fault(
        "process-kill",
        "a service process is killed; its clients repeat their requests at the others",
        kill,
        replace_missing,
        covered_by=("crash",),
    ),
    make_fault(
        "process-kill-at-point",
        "a service process is killed before, in or right after a transaction",
        kill_at_point,
        replace_missing,
        covered_by=("crash",),
        fault_points=True,
    ),
    make_fault(
        "process-pause",
        "a service process is suspended beyond its lease, then resumed",
        pause,
        resume_all,
        covered_by=("pause",),
    ),
    make_fault(
        "process-pause-at-point",
        "a service process is suspended beyond its lease while it has a lock, then resumed",
        pause_at_point,
        resume_all,
        covered_by=("pause",),
        fault_points=True,
        must_fail=("bare",),
        least_wait_s=HOLDER_WAIT_S,
    ),
)
