"""Redis loses its locks and goes on: everything is deleted, or everything that expires does so at once.

The second is what a jump of the server's clock does. The clock itself cannot be moved: a Redis with jemalloc dies at
its start under libfaketime (github.com/wolfcw/libfaketime, issues 130 and 327). A holder is suspended meanwhile, so
that a bare lock must be seen to grant twice.
"""

from collections.abc import Sequence

from stockade.lab.faults.pieces import HOLDER_WAIT_S, leave_holder_suspended, resume_all, resume_later
from stockade.lab.faults.possible import make_fault
from stockade.lab.recording.fault import PROCESSES, REDIS, Disturbed
from stockade.lab.site import needs


async def flush(disturbed: Disturbed) -> Sequence[str]:
    """FLUSHALL on all servers."""
    holder = await leave_holder_suspended(disturbed)
    if holder is None:
        return ()
    deleted = [await redis.flush() for redis in disturbed.site.redis]
    resume_later(disturbed, holder)
    return (holder.name, f"{sum(deleted)} keys deleted") if sum(deleted) else ()


async def expire_all(disturbed: Disturbed) -> Sequence[str]:
    """PEXPIRE of one millisecond on all keys that expire, on all servers."""
    holder = await leave_holder_suspended(disturbed)
    if holder is None:
        return ()
    expired = [await redis.expire_all() for redis in disturbed.site.redis]
    resume_later(disturbed, holder)
    return (holder.name, f"{sum(expired)} keys expired") if sum(expired) else ()


FAULTS = (
    make_fault(
        "redis-flush",
        "Redis loses everything while a holder of a lock is suspended",
        flush,
        resume_all,
        stops_processes=True,
        needs=frozenset({needs.REDIS}),
        touches=(REDIS, PROCESSES),
        exclusive=(REDIS,),
        covered_by=("restart",),
        fault_points=True,
        must_fail=("bare",),
        least_wait_s=HOLDER_WAIT_S,
        recovery_s=5.0,
    ),
    make_fault(
        "redis-expire-all",
        "all leases in Redis end at once, as if its clock had jumped, while a holder is suspended",
        expire_all,
        resume_all,
        stops_processes=True,
        needs=frozenset({needs.REDIS}),
        touches=(REDIS, PROCESSES),
        exclusive=(REDIS,),
        covered_by=("restart",),
        fault_points=True,
        must_fail=("bare",),
        least_wait_s=HOLDER_WAIT_S,
        recovery_s=5.0,
    ),
)
