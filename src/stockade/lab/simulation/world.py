"""The world of one run: the clock, the order of events drawn from a seed, and the processes in it.

Each process has an event loop of its own, so within a process everything happens in the order that asyncio promises.
Between processes, and between a process and the servers, the order is that of the latencies, which the seed draws.
Source of the idea: FoundationDB's and TigerBeetle's simulators. Neighbours: `event_loop.py`, and the simulator of the
locks (`stockade.locks.testing.simulator`), whose clock this is.
"""

import asyncio
import gc
import heapq
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import get_ident
from typing import Any

from stockade.lab.simulation.event_loop import SimulatedLoop
from stockade.locks.runtime.async_runtime import AsyncRuntime
from stockade.locks.testing.simulator import Sim, SimProcess, Stuck

START_S = 1000.0  # a process has been running for a while when its clients come


class Process(SimProcess):
    """A process of the simulated world. It can be paused as a whole, and it can crash."""

    def __init__(self, world: "World", name: str) -> None:
        super().__init__(name)
        self.world = world
        self.loop = SimulatedLoop(world, name)
        self.at_crash: dict[object, Callable[[], None]] = {}  # by who wants to know it

    def pause(self, seconds: float) -> None:
        """Let nothing of this process run for a while (SIGSTOP, a long collection of garbage, a slow host)."""
        if self.loop.crashed or self.loop.paused:
            return
        self.loop.paused = True
        self.paused_until = self.world.now + seconds
        self.world.after(seconds, self._resume)

    def _resume(self) -> None:
        self.loop.paused = False
        if self.loop.ready:
            self.world.is_ready(self.loop)

    def crash(self) -> None:
        """End it as SIGKILL does: its tasks vanish where they are, the servers see its connections end."""
        if self.loop.crashed:
            return
        self.loop.crashed = True
        for each in [*self.at_crash.values()]:
            each()


class World(Sim):
    """Clock, order of events, processes.

    Args:
        seed: of all random choices.
        max_steps: after so many events the run counts as stuck.

    Attributes:
        steps: events and callbacks so far.
        processes: all that were ever started.
        at_step: called before each statement and each call of a lock server.
    """

    def __init__(self, seed: int, max_steps: int = 100_000) -> None:
        super().__init__(seed, max_steps)
        self.now = START_S
        self.steps = 0
        self.processes: list[Process] = []
        self.at_step: Callable[[Process], None] = lambda process: None
        self._active: list[SimulatedLoop] = []

    def step(self, process: Process) -> None:
        """A process is about to send something to a server: what faults may happen there, happen now."""
        self.at_step(process)

    def process(self, name: str) -> Process:
        """Make a process."""
        made = Process(self, name)
        self.processes.append(made)
        return made

    def is_ready(self, loop: SimulatedLoop) -> None:
        """A loop has callbacks to run."""
        self._active.append(loop)

    def forget(self) -> None:
        """Drop what refers to each other at the end of a run: then reference counts free it, not the collector."""
        self._events.clear()
        for each in self.processes:
            each.at_crash.clear()
            each.loop.ready.clear()
            each.loop.tasks.clear()
        self.processes.clear()

    def run_until(self, done: Callable[[], bool], limit_s: float) -> None:
        """Let things happen until `done`, at most so many virtual seconds from now.

        Raises:
            Stuck: more than `max_steps` events.
        """
        end, events = self.now + limit_s, self._events
        self._run_loops()
        while not done():
            if not events or events[0][0] > end:
                self.now = max(self.now, end) if not done() else self.now
                return
            self.steps += 1
            if self.steps > self._max_steps:
                raise Stuck(f"more than {self._max_steps} events, at {self.now:.3f} s")
            at, _, _, action, process = heapq.heappop(events)
            self.now = max(self.now, at)
            if process is not None and process.paused_until > self.now:
                self.after(process.paused_until - self.now, action, process)
            else:
                action()
            if self._active:
                self._run_loops()

    def _run_loops(self) -> None:
        while self._active:
            loop = self._active.pop()
            if loop.paused or loop.crashed or not loop.ready:
                continue
            asyncio._set_running_loop(loop.as_asyncio)  # noqa: SLF001 - as every loop of asyncio does
            try:
                self.steps += loop.run_ready()
            finally:
                asyncio._set_running_loop(None)  # noqa: SLF001 - as above
            if self.steps > self._max_steps:
                raise Stuck(f"more than {self._max_steps} callbacks, at {self.now:.3f} s")


_Random = random.Random


@contextmanager
def surroundings(world: World) -> Iterator[None]:
    """Give this thread the world's clock and random numbers, so that the code of production needs to know nothing.

    `time.monotonic` answers the virtual time, and a random generator without a seed gets one from the world's. Other
    threads keep the real clock. Garbage is collected between runs only: finalizers of an earlier run, which release
    locks in the loop that happens to run, would have their effect in this one.
    """
    collects = gc.isenabled()
    gc.disable()
    real, thread = time.monotonic, get_ident()
    state, now = random.getstate(), AsyncRuntime.now

    def monotonic() -> float:
        return world.now if get_ident() == thread else real()

    def seeded(seed: Any = None) -> random.Random:
        return _Random(world.rng.random() if seed is None else seed)

    random.seed(world.rng.random())
    time.monotonic, random.Random = monotonic, seeded  # type: ignore[misc,assignment]
    AsyncRuntime.now = staticmethod(monotonic)
    try:
        yield
    finally:
        time.monotonic, random.Random = real, _Random  # type: ignore[misc]
        AsyncRuntime.now = staticmethod(now)
        random.setstate(state)
        if collects:
            gc.enable()
