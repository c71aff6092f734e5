"""What a fault is, as a value. The faults themselves are one file each in `faults/`; `fault_runner` plays them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from stockade.lab.execution.fault_harness import Rig
from stockade.lab.execution.load import Shot
from stockade.lab.preset import Scene


@dataclass(frozen=True, slots=True)
class Fault:
    """A way to be hurt.

    Attributes:
        name: as `Guarantees.faults` names it.
        summary: what happens, in one line.
        play: the script of one repeat; the answers of all buyers.
        points: fault points of the store that it is aimed at, one repeat for each.
        lease_s: lease of the lock strategies in this run, in seconds.
        needs: it concerns only strategies that need this; empty: all.
        bites: who does not promise to survive it must be seen to fail.
    """

    name: str
    summary: str
    play: Callable[[Rig, Scene], Awaitable[list[Shot]]]
    points: tuple[str, ...]
    lease_s: float
    needs: str = ""
    bites: bool = True
