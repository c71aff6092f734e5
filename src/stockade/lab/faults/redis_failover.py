"""Redis dies before its replica has received the last grants, and the replica takes its place at the same address.

The link to the replica is cut, a holder that was granted its lock after that is suspended, Redis is killed and the
replica promoted: it grants the lock again, with the same fencing token. With several servers all of them fail over.
A bare lock may survive: the waiters take about as long to reach the replica as the holder has until its deadline. The
aimed fault `failover` has no such race.
"""

import asyncio

from stockade.lab.faults.pieces import suspend_holder
from stockade.lab.faults.possible import make_fault
from stockade.lab.faults.redis_server import restore_and_resume
from stockade.lab.recording.fault import Disturbed
from stockade.lab.site.needs import REDIS, REPLICA


async def fail_over(disturbed: Disturbed) -> None:
    """Promote replicas that have not received the last grants."""
    nodes = disturbed.site.redis
    await asyncio.gather(*(node.start_replica() for node in nodes))
    for node in nodes:
        await node.cut_replication()
    await suspend_holder(disturbed)
    await asyncio.gather(*(node.fail_over() for node in nodes))


FAULTS = (
    make_fault(
        "redis-failover",
        "Redis dies with grants that its replica has missed, and the replica takes over",
        fail_over,
        restore_and_resume,
        needs=frozenset({REDIS, REPLICA}),
        covered_by=("failover",),
        fault_points=True,
    ),
)
