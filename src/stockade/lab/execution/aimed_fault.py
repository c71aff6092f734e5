"""What an aimed fault is: each is one file in `aimed_faults/`; `runs/fault_runner.py` runs it.

It is a script of one repeat, aimed at a fault point. Faults of recordings are injected into a load that goes on:
`recording/fault.py`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from stockade.lab.execution.fault_harness import FaultHarness
from stockade.lab.model.burst import Burst
from stockade.lab.model.repeat_result import Response


@dataclass(frozen=True, slots=True)
class AimedFault:
    """One kind of failure.

    Attributes:
        name: as in `Guarantees.faults`.
        summary: what happens, in one line.
        run: executes one repeat under the fault; returns the responses to all orders.
        points: the store's fault points at which it happens, one repeat for each.
        lease_s: lease of the lock strategies in this run, in seconds.
        needs: only strategies that need this take part, e.g. "redis"; empty: all.
        must_fail_unprotected: a strategy that does not promise to survive it must violate a rule.
    """

    name: str
    summary: str
    run: Callable[[FaultHarness, Burst], Awaitable[list[Response]]]
    points: tuple[str, ...]
    lease_s: float
    needs: str = ""
    must_fail_unprotected: bool = True
