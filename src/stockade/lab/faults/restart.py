"""A Redis that is killed and comes back without its data while a lock is held: the lock is given twice (M4).

Of several servers the last that the holder's majority needs forgets, and those it did not reach come back: two of
three had said yes, one of them forgets, the third was away, and the next buyer finds a majority too (the reason for
the "delayed restart" of antirez.com/news/101).
"""

from stockade.lab.execution.fault_harness import Rig
from stockade.lab.execution.load import Shot
from stockade.lab.fault import Fault
from stockade.lab.preset import Scene


async def play(rig: Rig, scene: Scene) -> list[Shot]:
    """Forget what the holder was granted."""
    majority = len(rig.nodes) // 2 + 1
    forgetful, absent = rig.nodes[majority - 1], rig.nodes[majority:]
    for node in absent:
        await node.go_down()

    async def forget() -> None:
        await forgetful.go_down()
        for node in (forgetful, *absent):
            await node.come_back()

    return await rig.behind_the_holder(scene, forget)


FAULT = Fault(
    name="restart",
    summary="Redis is killed and comes back empty while the first order has the lock",
    play=play,
    points=("begin", "loaded"),
    lease_s=30.0,
    needs="redis",
)
