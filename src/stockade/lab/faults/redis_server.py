"""Redis is killed and starts again: with nothing, or with what its append-only file kept.

Without persistence a lock is forgotten while its holder works: `redis-kill` suspends a holder meanwhile, so that a bare
lock must be seen to grant twice. The two other modes keep every write that the process has made (SIGKILL loses only
what is in the process), so a bare lock may survive them.
"""

from collections.abc import Sequence

from stockade.lab.faults.pieces import HOLDER_WAIT_S, leave_holder_suspended, resume_all, resume_later
from stockade.lab.faults.possible import make_fault
from stockade.lab.recording.fault import PROCESSES, REDIS, Disturbed
from stockade.lab.site import needs


async def kill(disturbed: Disturbed) -> Sequence[str]:
    """SIGKILL to all servers."""
    hit = [f"redis, process {pid}" for redis in disturbed.site.redis for pid in redis.pids()[:1]]
    for redis in disturbed.site.redis:
        await redis.kill()
    return hit


async def bring_back(disturbed: Disturbed) -> None:
    """Start them again, and wait until they take writes."""
    for redis in disturbed.site.redis:
        await redis.bring_back()


async def forget(disturbed: Disturbed) -> Sequence[str]:
    """Kill and restart them while a holder is suspended, so that all grants are forgotten."""
    holder = await leave_holder_suspended(disturbed)
    hit = await kill(disturbed)
    await bring_back(disturbed)
    resume_later(disturbed, holder)
    return (holder.name, *hit) if holder else ()


async def bring_back_and_resume(disturbed: Disturbed) -> None:
    """Start what is down, and resume the holder."""
    try:
        await bring_back(disturbed)
    finally:
        await resume_all(disturbed)


FAULTS = (
    make_fault(
        "redis-kill",
        "Redis is killed and starts again with nothing, while a holder of a lock is suspended",
        forget,
        bring_back_and_resume,
        stops_processes=True,
        needs=frozenset({needs.REDIS}),
        touches=(REDIS, PROCESSES),
        exclusive=(REDIS,),
        ends_it=True,
        covered_by=("restart",),
        fault_points=True,
        must_fail=("bare",),
        least_wait_s=HOLDER_WAIT_S,
    ),
    make_fault(
        "redis-kill-everysec",
        "Redis with an append-only file (flushed each second) is killed, and starts again later",
        kill,
        bring_back,
        needs=frozenset({needs.REDIS, needs.REDIS_EVERYSEC}),
        touches=(REDIS,),
        exclusive=(REDIS,),
        ends_it=True,
        covered_by=("restart",),
    ),
    make_fault(
        "redis-kill-always",
        "Redis with an append-only file (flushed at each write) is killed, and starts again later",
        kill,
        bring_back,
        needs=frozenset({needs.REDIS, needs.REDIS_ALWAYS}),
        touches=(REDIS,),
        exclusive=(REDIS,),
        ends_it=True,
        covered_by=("restart",),
    ),
)
