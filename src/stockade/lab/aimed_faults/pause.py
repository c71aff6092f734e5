"""A process is suspended for longer than its lease, as by a long garbage collection or a suspended machine.

The next waiter gets the lock while the first holder still believes that it owns it, and the first holder writes late
(Kleppmann, "How to do distributed locking", 2016). One repeat pauses before the transaction, one after the read.
"""

from stockade.lab.execution.aimed_fault import AimedFault
from stockade.lab.execution.fault_harness import FaultHarness
from stockade.lab.model.burst import Burst
from stockade.lab.model.repeat_result import Response


async def run(harness: FaultHarness, workload: Burst) -> list[Response]:
    """Suspend the holder; nothing else happens meanwhile."""

    async def nothing() -> None:
        return None

    return await harness.suspend_holder(workload, nothing)


FAULT = AimedFault(
    name="pause",
    summary="the process with the first order is suspended beyond its lease, then resumed",
    run=run,
    points=("begin", "loaded"),
    lease_s=0.5,
)
