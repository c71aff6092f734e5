"""A Redis that dies before its replica has heard of the grant: the lock is given twice, with one token (M2).

The replica knows the lock's counter from an earlier grant, the link is cut, the server grants once more and dies, the
replica is promoted and takes over the address. It grants again, and its counter says the same. Of several servers the
last that the holder's majority needs fails over, and those it did not reach come back, as in `restart`.
"""

from stockade.lab.execution.fault_harness import Rig
from stockade.lab.execution.load import Shot
from stockade.lab.fault import Fault
from stockade.lab.preset import Scene
from stockade.locks.aio import Provider, QuorumLocks, RedisLocks


async def play(rig: Rig, scene: Scene) -> list[Shot]:
    """Promote a replica that has missed the grant."""
    majority = len(rig.nodes) // 2 + 1
    failing, absent = rig.nodes[majority - 1], rig.nodes[majority:]
    await failing.follow()
    await _use(rig, scene)
    await failing.cut()
    for node in absent:
        await node.go_down()

    async def fail_over() -> None:
        await failing.fail_over()
        for node in absent:
            await node.come_back()

    return await rig.behind_the_holder(scene, fail_over)


async def _use(rig: Rig, scene: Scene) -> None:
    """Every lock was held before, so that its counter is known to all."""
    urls = [node.url for node in rig.nodes]
    locks: Provider = QuorumLocks(urls) if len(urls) > 1 else RedisLocks(urls[0])
    async with locks:
        for key in (*scene.subjects, *scene.others):
            async with locks.lock(str(key)):
                pass


FAULT = Fault(
    name="failover",
    summary="Redis dies with a grant that its replica has missed, and the replica takes over",
    play=play,
    points=("begin", "loaded"),
    lease_s=30.0,
    needs="redis",
)
