"""When faults are injected and healed: drawn from the seed, and run while the load goes on.

Faults whose times overlap are in place together, however long the injection of one takes: each has a task of its own.
Those that are in each other's way are injected one after the other, in the order of the schedule: of a combination
those first that need a service at work, those last that end something. While one that needs a service at work is
injected, no other begins: on a slow link a process may not start, nor reach a fault point, within its time.
Neighbours: `engine.py` runs a schedule between the phases of a recording, `fault.py` says what a fault is.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from stockade.lab.errors import LabError
from stockade.lab.history.operation import FaultEvent
from stockade.lab.recording.fault import LINKS, Disturbed, Fault, ProcessRef

ACTION_WAIT_S: Final = 60.0  # for one injection or healing: a database that recovers from a crash takes seconds
SERVE_WAIT_S: Final = 20.0  # for the processes that a healing brings back
WARM_SHARE, FAULT_SHARE = 0.25, 0.45  # of the whole time; the rest is after the healing
LATEST: Final = 1.3  # of the usual time between two drawn faults
STAGGER_S: Final = 0.2  # between two faults that are combined, so that each order of them happens
LEAST_S: Final = 0.5  # in place, and together with those that overlap it; less in a short recording
LEAST_SHARE: Final = 0.5  # of the time for all faults, in a short recording


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
    found = [Entry(begin + rng.uniform(0, last), fault, end - rng.uniform(0, last)) for fault in ordered]
    return sorted(found, key=lambda entry: (_stage(entry.fault), entry.at_s))


def _stage(fault: Fault) -> int:
    """A link falls silent before a server ends: nothing would be on its way through it afterwards."""
    if fault.needs_service:
        return 0
    if not fault.ends_it:
        return 1
    return 2 if LINKS in fault.exclusive else 3


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


def _comes_first(one: Fault, other: Fault) -> bool:
    """Whether one that stands before another in the schedule is injected before it."""
    ends_it = other.ends_it or (one.ends_it and other.needs_service)  # what ends something waits, and is waited for
    return one.needs_service or ends_it or bool(one.touches & other.touches)


def overlap(one: Entry, other: Entry) -> bool:
    """Whether their planned times overlap."""
    return one.at_s < other.heal_at_s and other.at_s < one.heal_at_s


async def run_schedule(entries: Sequence[Entry], disturbed: Disturbed, log: list[FaultEvent], began_s: float) -> None:
    """Inject and heal at the times of the schedule; whatever happens, what was injected is healed.

    Args:
        entries: the schedule; one fault is injected again only after it was healed.
        disturbed: what faults may touch.
        log: gets an entry for each injection and each healing, in order of time.
        began_s: when the load began, on the monotonic clock in seconds.

    Raises:
        LabError: a fault could not be injected or healed; the message says which.
    """
    run = _Run(entries, disturbed, log, began_s)
    try:
        async with asyncio.TaskGroup() as group:
            for number in range(len(entries)):
                group.create_task(run.play(number))
    except BaseExceptionGroup as errors:
        raise _first(errors) from errors
    finally:
        log.sort(key=lambda each: each.at_ns)


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """One error for the caller: the others are of faults beside it."""
    found: BaseException = errors
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


@dataclass(slots=True)
class _Run:
    """A schedule that runs; an entry is named by its place in it."""

    entries: Sequence[Entry]
    disturbed: Disturbed
    log: list[FaultEvent]
    began_s: float
    injected: list[asyncio.Event] = field(init=False)
    healed: list[asyncio.Event] = field(init=False)
    busy: dict[str, asyncio.Lock] = field(init=False)  # by what is touched: one action at a time
    least_s: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.injected = [asyncio.Event() for _ in self.entries]
        self.healed = [asyncio.Event() for _ in self.entries]
        self.busy = {thing: asyncio.Lock() for each in self.entries for thing in each.fault.touches}
        if self.entries:
            whole_s = max(each.heal_at_s for each in self.entries) - min(each.at_s for each in self.entries)
            self.least_s = min(LEAST_S, LEAST_SHARE * whole_s)

    async def play(self, number: int) -> None:
        """Inject one fault at its time, and heal it at its time, but not before it was in place with the others."""
        entry = self.entries[number]
        await self._until(entry.at_s)
        await self._wait_for_earlier(number)
        try:
            try:
                await self._act(entry.fault, "inject")
            finally:
                self.injected[number].set()
            await self._hold(entry)
        finally:
            await self._act(entry.fault, "heal")
            self.healed[number].set()

    async def _wait_for_earlier(self, number: int) -> None:
        """Wait for those that must come before it; by their order, so that no two wait for each other.

        What ends something lets the others act for a while: on a link to a server that is gone nothing passes.
        """
        entry, waited = self.entries[number], False
        for other, each in enumerate(self.entries[:number]):
            if each.fault.name == entry.fault.name:
                await self.healed[other].wait()
            elif overlap(each, entry) and _comes_first(each.fault, entry.fault):
                await self.injected[other].wait()
                waited = True
        if waited and entry.fault.ends_it:
            await asyncio.sleep(self.least_s)

    async def _hold(self, entry: Entry) -> None:
        """Wait until the fault is to be healed."""
        for other, each in enumerate(self.entries):
            if overlap(each, entry):
                await self.injected[other].wait()
        await asyncio.sleep(self.least_s)
        await self._until(entry.heal_at_s)

    async def _until(self, at_s: float) -> None:
        await asyncio.sleep(max(0.0, self.began_s + at_s - time.monotonic()))

    async def _act(self, fault: Fault, action: str) -> None:
        """Inject or heal, alone on what the fault touches; then wait for the processes that must serve again."""
        disturbed = self.disturbed.for_action()
        hit: tuple[str, ...] = ()
        async with self._alone(fault):
            began_ns = time.monotonic_ns()
            try:
                async with asyncio.timeout(ACTION_WAIT_S):
                    if action == "inject":
                        hit = tuple(await fault.inject(disturbed))
                    else:
                        hit = tuple(await fault.heal(disturbed) or ())
            except TimeoutError:
                raise LabError(f"the fault {fault.name} could not {action} in {ACTION_WAIT_S:.0f} s") from None
        notes = "; ".join([*disturbed.notes, *await _not_serving(disturbed.expected, SERVE_WAIT_S)])
        end_ns = time.monotonic_ns()
        self.log.append(FaultEvent(began_ns, fault.name, action, notes, hit, end_ns, fault.stops_processes))

    @asynccontextmanager
    async def _alone(self, fault: Fault) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for thing in sorted(fault.touches):  # in one order, so that no two wait for each other
                await stack.enter_async_context(self.busy[thing])
            yield


async def _not_serving(expected: Sequence[ProcessRef], wait_s: float) -> list[str]:
    """A note for each of these processes that does not serve within this time, in seconds."""
    deadline_s = time.monotonic() + wait_s
    return [
        f"{process.name} did not serve again within {wait_s:.0f} s"
        for process in expected
        if not await process.group.serves(process.number, deadline_s - time.monotonic())
    ]
