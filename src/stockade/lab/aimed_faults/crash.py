"""A process is killed in the middle of a transaction, as by kill -9, by lack of memory, or with its machine.

Its buyers get no response. They send the same requests again to the other process, which must return what became of
each. The locks of the killed process must become free without help.
"""

import asyncio
import signal

from stockade.lab.execution.aimed_fault import AimedFault
from stockade.lab.execution.fault_harness import FaultHarness
from stockade.lab.model.burst import Burst
from stockade.lab.model.repeat_result import Response


async def run(harness: FaultHarness, workload: Burst) -> list[Response]:
    """Kill the process that executes every second order."""
    await harness.signal_at_point(signal.SIGKILL)
    lost = harness.send(harness.victim, workload.orders[::2])
    if harness.victim_first:
        await asyncio.wait([lost])
    kept = harness.send(harness.other, workload.orders[1::2])
    responses = [*await lost, *await kept]
    await harness.replace_victim()
    return responses


FAULT = AimedFault(
    name="crash",
    summary="a process is killed in a transaction; its buyers repeat their requests at the other",
    run=run,
    points=("loaded", "saved"),
    lease_s=0.5,
    must_fail_unprotected=False,
)
