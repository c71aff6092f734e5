"""Redis dies before its replica has received a grant: the lock is granted twice, with the same fencing token.

The replica knows the lock's counter from an earlier grant. Then the replication link is cut, the server grants once
more and dies, and the replica is promoted at the same address. It grants again, with the same next token. With several
servers, the last one that the holder's majority needs fails over, and the servers it did not reach come back.
"""

from stockade.lab.execution.aimed_fault import AimedFault
from stockade.lab.execution.fault_harness import FaultHarness
from stockade.lab.model.burst import Burst
from stockade.lab.model.repeat_result import Response
from stockade.locks.aio import Provider, QuorumLocks, RedisLocks


async def run(harness: FaultHarness, workload: Burst) -> list[Response]:
    """Promote a replica that has not received the grant."""
    majority = len(harness.nodes) // 2 + 1
    failing, absent = harness.nodes[majority - 1], harness.nodes[majority:]
    await failing.start_replica()
    await _lock_once(harness, workload)
    await failing.cut_replication()
    for node in absent:
        await node.kill()

    async def fail_over() -> None:
        await failing.fail_over()
        for node in absent:
            await node.restart()

    return await harness.suspend_holder(workload, fail_over)


async def _lock_once(harness: FaultHarness, workload: Burst) -> None:
    """Acquire every lock once, so that the replica has its counter too."""
    urls = [node.url for node in harness.nodes]
    locks: Provider = QuorumLocks(urls) if len(urls) > 1 else RedisLocks(urls[0])
    async with locks:
        for key in (*workload.counted_rows, *workload.other_rows):
            async with locks.lock(str(key)):
                pass


FAULT = AimedFault(
    name="failover",
    summary="Redis dies with a grant that its replica has missed, and the replica takes over",
    run=run,
    points=("begin", "loaded"),
    lease_s=30.0,
    needs="redis",
)
