"""Redis dies before its replica has received the last grants, and the replica takes its place at the same address.

The link to the replica is cut, a holder that was granted its lock after that is suspended, Redis is killed and the
replica promoted: it grants the lock again, with the same fencing token. With several servers all of them fail over. The
holder is resumed when the waiters had the time to reach the replica, and before its deadline.
"""

import asyncio
from collections.abc import Sequence

from stockade.lab.faults.pieces import HOLDER_WAIT_S, leave_holder_suspended, resume_later
from stockade.lab.faults.possible import make_fault
from stockade.lab.faults.redis_server import bring_back_and_resume
from stockade.lab.recording.fault import PROCESSES, REDIS, Disturbed
from stockade.lab.site import needs


async def fail_over(disturbed: Disturbed) -> Sequence[str]:
    """Promote replicas that have not received the last grants."""
    nodes = disturbed.site.redis
    await asyncio.gather(*(node.start_replica() for node in nodes))
    for node in nodes:
        await node.cut_replication()
    holder = await leave_holder_suspended(disturbed)
    await asyncio.gather(*(node.fail_over() for node in nodes))
    resume_later(disturbed, holder)
    return (holder.name, f"{len(nodes)} redis") if holder else ()


FAULTS = (
    make_fault(
        "redis-failover",
        "Redis dies with grants that its replica has missed, and the replica takes over",
        fail_over,
        bring_back_and_resume,
        stops_processes=True,
        needs=frozenset({needs.REDIS, needs.REPLICA}),
        touches=(REDIS, PROCESSES),
        exclusive=(REDIS,),
        ends_it=True,
        covered_by=("failover",),
        fault_points=True,
        must_fail=("bare",),
        least_wait_s=HOLDER_WAIT_S,
    ),
)
