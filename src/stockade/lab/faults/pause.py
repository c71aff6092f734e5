"""A process that stands still for longer than its lease: a long collection of garbage, a suspended machine.

The lock goes to the next in line while the first holder still believes in it, and its write comes late (M1 of the
reliability page; Kleppmann, "How to do distributed locking", 2016). Stopped once before its transaction and once
between reading and writing.
"""

from stockade.lab.execution.fault_harness import Rig
from stockade.lab.execution.load import Shot
from stockade.lab.fault import Fault
from stockade.lab.preset import Scene


async def play(rig: Rig, scene: Scene) -> list[Shot]:
    """Nothing happens but time."""

    async def nothing() -> None:
        return None

    return await rig.behind_the_holder(scene, nothing)


FAULT = Fault(
    name="pause",
    summary="the process with the first order stands still beyond its lease; then it goes on",
    play=play,
    points=("begin", "loaded"),
    lease_s=0.5,
)
