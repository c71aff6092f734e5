"""Redis is killed and restarts without its data while a lock is held: the lock is granted a second time.

With several servers, the last one that the holder's majority needs loses its data, and the servers that the holder did
not reach come back. Example with three: two granted the lock, one of them forgets it, and the third was unreachable.
So the next buyer gets a majority too; "delayed restart" exists to prevent that (antirez.com/news/101).
"""

from stockade.lab.execution.aimed_fault import AimedFault
from stockade.lab.execution.fault_harness import FaultHarness
from stockade.lab.model.burst import Burst
from stockade.lab.model.repeat_result import Response


async def run(harness: FaultHarness, workload: Burst) -> list[Response]:
    """Delete the holder's grant."""
    majority = len(harness.nodes) // 2 + 1
    forgetful, absent = harness.nodes[majority - 1], harness.nodes[majority:]
    for node in absent:
        await node.kill()

    async def lose_grant() -> None:
        await forgetful.kill()
        for node in (forgetful, *absent):
            await node.restart()

    return await harness.suspend_holder(workload, lose_grant)


FAULT = AimedFault(
    name="restart",
    summary="Redis is killed and restarts empty while the first order has the lock",
    run=run,
    points=("begin", "loaded"),
    lease_s=30.0,
    needs="redis",
)
