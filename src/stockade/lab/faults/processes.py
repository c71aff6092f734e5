"""A process of the service is killed, suspended or throttled, at any moment or at a fault point of its store.

A suspended process is stopped beyond its lease, as by a long garbage collection or a suspended machine: the next waiter
gets the lock, and the first holder writes late (Kleppmann, "How to do distributed locking", 2016). Fault points are in
the processes that decide: under a command log these are the log workers.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from stockade.lab.faults import pieces
from stockade.lab.faults.pieces import (
    BEYOND_LEASE,
    HOLDER_WAIT_S,
    choose,
    deciders,
    hold_away,
    is_stopped,
    leave_holder_suspended,
    replace_missing,
    resume_all,
    resume_later,
)
from stockade.lab.faults.possible import make_fault
from stockade.lab.recording.fault import PROCESSES, Disturbed, ProcessRef

KILL, KILL_AT_POINT, THROTTLE = "process-kill", "process-kill-at-point", "process-throttle"
POINTS = ("begin", "loaded", "saved", "committed")  # in the order of a transaction
PERIOD_S = 0.1  # of a quota of processor time, as Linux has it for a control group (cpu.max)
FIRST_STOP_S = 5.0  # within which a process is stopped, or it is not throttled


async def kill(disturbed: Disturbed) -> Sequence[str]:
    """SIGKILL, at any moment."""
    process = choose(disturbed, disturbed.processes)
    if process is None:
        return ()
    hold_away(disturbed, KILL, process)
    await process.group.kill(process.number)
    return (process.name,)


async def kill_at_point(disturbed: Disturbed) -> Sequence[str]:
    """SIGKILL, when the store is at a fault point. A process that does not come by is left alone.

    Where another fault makes transactions so slow that none of them comes so far before its deadline, they still begin.
    """
    process, drawn = choose(disturbed, deciders(disturbed)), disturbed.rng.choice(POINTS)
    if process is None:
        return ()
    for point in dict.fromkeys((drawn, POINTS[0])):
        if await pieces.kill_at_point(disturbed, KILL_AT_POINT, process, point):
            disturbed.note(f"at the fault point {point!r}")
            return (process.name,)
    return ()


async def pause(disturbed: Disturbed) -> Sequence[str]:
    """SIGSTOP, at any moment."""
    process = choose(disturbed, disturbed.processes)
    if process is None:
        return ()
    await process.group.pause(process.number)
    resume_later(disturbed, process, BEYOND_LEASE)
    return (process.name,) if is_stopped(process) else ()


async def pause_at_point(disturbed: Disturbed) -> Sequence[str]:
    """SIGSTOP, when the store has a lock and is between reading and writing."""
    process = await leave_holder_suspended(disturbed)
    resume_later(disturbed, process)
    return (process.name,) if process else ()


async def throttle(disturbed: Disturbed) -> Sequence[str]:
    """SIGSTOP and SIGCONT in turn, each for half of a period: as one whose quota is used up in half of the time."""
    process = choose(disturbed, deciders(disturbed))
    if process is None:
        return ()
    stopped = asyncio.Event()
    task = asyncio.create_task(_stop_half_of_the_time(process, stopped))
    disturbed.disturbances.throttled[THROTTLE] = (process, task)
    with suppress(TimeoutError):
        await asyncio.wait_for(stopped.wait(), FIRST_STOP_S)
    return (process.name,) if stopped.is_set() else ()


async def _stop_half_of_the_time(process: ProcessRef, stopped: asyncio.Event) -> None:
    """Until it is cancelled; `stopped` is set by the first stop. What another fault has stopped stays stopped."""
    while True:
        if process.pid and not is_stopped(process):
            try:
                await process.group.pause(process.number)
                if is_stopped(process):
                    stopped.set()
                await asyncio.sleep(PERIOD_S / 2)
            finally:
                await process.group.resume(process.number)
        await asyncio.sleep(PERIOD_S / 2)


async def throttle_no_more(disturbed: Disturbed) -> None:
    """Let the process run all the time."""
    throttled = disturbed.disturbances.throttled.pop(THROTTLE, None)
    if throttled is None:
        return
    process, task = throttled
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
    if process.pid:
        disturbed.expect(*process)


FAULTS = (
    make_fault(
        KILL,
        "a service process is killed; its clients repeat their requests at the others",
        kill,
        partial(replace_missing, fault=KILL),
        covered_by=("crash",),
        touches=(PROCESSES,),
        ends_it=True,
    ),
    make_fault(
        KILL_AT_POINT,
        "a process that decides is killed before, in or right after a transaction",
        kill_at_point,
        partial(replace_missing, fault=KILL_AT_POINT),
        covered_by=("crash",),
        fault_points=True,
        touches=(PROCESSES,),
        ends_it=True,
    ),
    make_fault(
        "process-pause",
        "a service process is suspended beyond its lease, then resumed",
        pause,
        resume_all,
        stops_processes=True,
        covered_by=("pause",),
        touches=(PROCESSES,),
    ),
    make_fault(
        "process-pause-at-point",
        "a process that decides is suspended beyond its lease while it has a lock, then resumed",
        pause_at_point,
        resume_all,
        stops_processes=True,
        covered_by=("pause",),
        fault_points=True,
        must_fail=("bare",),
        least_wait_s=HOLDER_WAIT_S,
        touches=(PROCESSES,),
    ),
    make_fault(
        THROTTLE,
        "a process that decides is stopped for half of each tenth of a second",
        throttle,
        throttle_no_more,
        stops_processes=True,
        recovery_s=5.0,
        touches=(PROCESSES,),
    ),
)
