"""When faults are injected and healed: drawn from the seed, and run while the load goes on.

Neighbours: `engine.py` runs a schedule between the phases of a recording, `fault.py` says what a fault is.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from stockade.lab.errors import LabError
from stockade.lab.history.operation import FaultEvent
from stockade.lab.recording.fault import Disturbed, Fault

ACTION_WAIT_S: Final = 60.0  # for one injection or healing: a database that recovers from a crash takes seconds
WARM_SHARE, FAULT_SHARE = 0.25, 0.45  # of the whole time; the rest is after the healing
LATEST: Final = 1.3  # of the usual time between two drawn faults
STAGGER_S: Final = 0.2  # between two faults that are combined, so that each order of them happens


class Entry(NamedTuple):
    """One fault: when it is injected and when it is healed, in seconds since the load began."""

    at_s: float
    fault: Fault
    heal_at_s: float


def combined(faults: Sequence[Fault], seconds: float, seed: int) -> list[Entry]:
    """All faults at about the same time, in an order that the seed decides; each is healed when its share ends.

    Args:
        faults: to combine; none: an empty schedule.
        seconds: of the whole load.
        seed: of the recording.
    """
    rng = random.Random(f"schedule-{seed}")
    begin, end = seconds * WARM_SHARE, seconds * (WARM_SHARE + FAULT_SHARE)
    ordered = list(faults)
    rng.shuffle(ordered)
    last = min(STAGGER_S, (end - begin) / 4)
    return [Entry(begin + rng.uniform(0, last), fault, end - rng.uniform(0, last)) for fault in ordered]


def drawn(faults: Sequence[Fault], seconds: float, seed: int, every_s: float = 5.0) -> list[Entry]:
    """One fault after the other through the middle of a long recording, now and then two at a time.

    Each happens once before one happens again, so that a recording says something about all of them.

    Args:
        faults: to draw from.
        seconds: of the whole load.
        seed: of the recording.
        every_s: seconds from one injection to the next; less where there is no room for all of them.
    """
    rng = random.Random(f"schedule-{seed}")
    entries: list[Entry] = []
    free_at = dict.fromkeys((fault.name for fault in faults), 0.0)
    at_s, end_s = seconds * WARM_SHARE, seconds * (WARM_SHARE + FAULT_SHARE)
    every_s = min(every_s, (end_s - at_s) / (LATEST * max(1, len(faults))))
    dealt = rng.sample(faults, len(faults))
    while faults and at_s < end_s:
        fault = dealt.pop() if dealt else rng.choice(faults)
        if free_at[fault.name] <= at_s:
            heal_at_s = min(at_s + every_s * rng.uniform(0.3, LATEST), end_s)
            entries.append(Entry(at_s, fault, heal_at_s))
            free_at[fault.name] = heal_at_s + 0.1
        at_s += every_s * rng.uniform(0.7, LATEST)
    return entries


async def run_schedule(entries: Sequence[Entry], disturbed: Disturbed, log: list[FaultEvent], began_s: float) -> None:
    """Inject and heal at the times of the schedule; whatever happens, what was injected is healed.

    Args:
        entries: the schedule.
        disturbed: what faults may touch.
        log: gets an entry for each injection and each healing.
        began_s: when the load began, on the monotonic clock in seconds.

    Raises:
        LabError: a fault could not be injected or healed; the message says which.
    """
    steps = sorted(
        [(entry.at_s, "inject", entry.fault) for entry in entries]
        + [(entry.heal_at_s, "heal", entry.fault) for entry in entries],
        key=lambda step: step[0],
    )
    injected: list[Fault] = []
    try:
        for at_s, action, fault in steps:
            await asyncio.sleep(max(0.0, began_s + at_s - time.monotonic()))
            if action == "inject":
                injected.append(fault)
            else:
                injected.remove(fault)
            await _act(fault, action, disturbed, log)
    finally:
        for fault in reversed(injected):
            await _act(fault, "heal", disturbed, log)


async def _act(fault: Fault, action: str, disturbed: Disturbed, log: list[FaultEvent]) -> None:
    work = fault.inject if action == "inject" else fault.heal
    log.append(FaultEvent(time.monotonic_ns(), fault.name, action))
    try:
        async with asyncio.timeout(ACTION_WAIT_S):
            await work(disturbed)
    except TimeoutError:
        raise LabError(f"the fault {fault.name} could not {action} in {ACTION_WAIT_S:.0f} s") from None
