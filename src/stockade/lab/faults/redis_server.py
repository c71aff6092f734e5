"""Redis is killed and starts again: with nothing, or with what its append-only file kept.

Without persistence a lock is forgotten while its holder works: `redis-kill` suspends a holder meanwhile, so that a bare
lock must be seen to grant twice. The two other modes keep every write that the process has made (SIGKILL loses only
what is in the process), so a bare lock may survive them.
"""

from stockade.lab.faults.pieces import HOLDER_WAIT_S, resume_all, resume_later, suspend_holder
from stockade.lab.faults.possible import make_fault
from stockade.lab.recording.fault import Disturbed
from stockade.lab.site.needs import REDIS, REDIS_ALWAYS, REDIS_EVERYSEC


async def kill(disturbed: Disturbed) -> None:
    """SIGKILL to all servers."""
    for redis in disturbed.site.redis:
        await redis.kill()


async def restore(disturbed: Disturbed) -> None:
    """Start them again, and wait until they take writes."""
    for redis in disturbed.site.redis:
        await redis.restore()


async def forget(disturbed: Disturbed) -> None:
    """Kill and restart them while a holder is suspended, so that all grants are forgotten."""
    holder = await suspend_holder(disturbed)
    await kill(disturbed)
    await restore(disturbed)
    resume_later(disturbed, holder)


async def restore_and_resume(disturbed: Disturbed) -> None:
    """Start what is down, and resume the holder."""
    try:
        await restore(disturbed)
    finally:
        await resume_all(disturbed)


FAULTS = (
    make_fault(
        "redis-kill",
        "Redis is killed and starts again with nothing, while a holder of a lock is suspended",
        forget,
        restore_and_resume,
        needs=frozenset({REDIS}),
        covered_by=("restart",),
        fault_points=True,
        must_fail=("bare",),
        least_wait_s=HOLDER_WAIT_S,
    ),
    make_fault(
        "redis-kill-everysec",
        "Redis with an append-only file (flushed each second) is killed, and starts again later",
        kill,
        restore,
        needs=frozenset({REDIS, REDIS_EVERYSEC}),
        covered_by=("restart",),
    ),
    make_fault(
        "redis-kill-always",
        "Redis with an append-only file (flushed at each write) is killed, and starts again later",
        kill,
        restore,
        needs=frozenset({REDIS, REDIS_ALWAYS}),
        covered_by=("restart",),
    ),
)
