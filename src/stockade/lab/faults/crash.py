"""A process that is killed under load, in the middle of a transaction: kill -9, out of memory, a lost machine.

Its buyers hear nothing. They ask again with the same request at the other process, where each must be told what has
become of it; its locks must come free by themselves.
"""

import signal

from stockade.lab.execution.fault_harness import Rig
from stockade.lab.execution.load import Shot
from stockade.lab.fault import Fault
from stockade.lab.preset import Scene


async def play(rig: Rig, scene: Scene) -> list[Shot]:
    """Half of the buyers lose their process."""
    await rig.aim(signal.SIGKILL)
    lost, kept = rig.send(rig.victim, scene.orders[::2]), rig.send(rig.other, scene.orders[1::2])
    shots = [*await lost, *await kept]
    await rig.replace_victim()
    return shots


FAULT = Fault(
    name="crash",
    summary="a process is killed in a transaction; its buyers ask again at the other",
    play=play,
    points=("loaded", "saved"),
    lease_s=0.5,
    bites=False,
)
