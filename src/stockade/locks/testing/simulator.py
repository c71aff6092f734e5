"""The runtime of the lock engine in a simulated world: a virtual clock, an order of events drawn from a seed, pauses.

The coroutines of production run here, so a history that breaks shows a bug of theirs, and its seed replays it. The idea
is FoundationDB's and TigerBeetle's. To test code that uses locks, give a `SimRuntime` to a backend and to a
`LockManager`. Neighbours: `runtime/runtime.py` (the protocol), `simulated_redis.py` (a server for this world).
"""

import heapq
import itertools
import random
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from stockade.locks.runtime.runtime import DRAIN_S


class Cancelled(BaseException):
    """Raised in a cancelled task of the simulation, as asyncio.CancelledError elsewhere."""


class Stuck(Exception):
    """The simulation took more steps than it may."""


class _Trap:
    """What a runtime method yields to the simulation: `arrange(task)` makes the task go on later."""

    __slots__ = ("arrange",)

    def __init__(self, arrange: Callable[["SimTask"], None]) -> None:
        self.arrange = arrange

    def __await__(self) -> Generator["_Trap", Any, Any]:
        return (yield self)


class SimTask:
    """A coroutine that runs in the simulation. `result` or `error` is set when it is `done`."""

    def __init__(self, sim: "Sim", process: "SimProcess", work: Coroutine[Any, Any, Any]) -> None:
        self.sim = sim
        self.process = process
        self.work = work
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None
        self.suspensions = 0  # a wake-up for an earlier one is stale
        self.watchers: list[Callable[[], None]] = []
        self.cancel_at = -1  # cancel it at this suspension: "cancellation at every await"

    def wake(self, suspension: int, value: Any = None) -> None:
        """Go on with `value` if it still waits where it waited at `suspension`."""
        if not self.done and self.suspensions == suspension:
            self._step(lambda: self.work.send(value))

    def fail(self, suspension: int, error: BaseException) -> None:
        """Go on with an error."""
        if not self.done and self.suspensions == suspension:
            self._step(lambda: self.work.throw(error))

    def cancel(self) -> bool:
        """Throw Cancelled into it at its next suspension."""
        self.sim.after(0.0, lambda: self.fail(self.suspensions, Cancelled()), self.process)
        return not self.done

    def _step(self, go: Callable[[], _Trap]) -> None:
        before, self.sim.current = self.sim.current, self
        self.suspensions += 1
        try:
            trap = go()
        except StopIteration as stop:
            self._end(stop.value, None)
        except (Exception, Cancelled) as error:  # noqa: BLE001 - kept in the task
            self._end(None, error)
        else:
            trap.arrange(self)
            if self.suspensions == self.cancel_at:
                self.cancel()
        finally:
            self.sim.current = before

    def _end(self, result: Any, error: BaseException | None) -> None:
        self.done, self.result, self.error = True, result, error
        for watcher in self.watchers:
            watcher()


class SimProcess:
    """A process of the simulated world: it can be paused as a whole (garbage collection, SIGSTOP, a slow host)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.paused_until = 0.0
        self.numbers = itertools.count()


class Sim:
    """The world: clock, events, order.

    Args:
        seed: of all random choices.
        max_steps: after so many events the history counts as stuck.
    """

    def __init__(self, seed: int, max_steps: int = 20_000) -> None:
        self.rng = random.Random(seed)
        self.now = 0.0
        self.current: SimTask | None = None
        self._events: list[tuple[float, float, int, Callable[[], None], SimProcess | None]] = []
        self._numbers = itertools.count()
        self._max_steps = max_steps

    def after(self, seconds: float, action: Callable[[], None], process: SimProcess | None = None) -> None:
        """Do this later; events of the same moment come in an order drawn from the seed."""
        event = (self.now + max(seconds, 0.0), self.rng.random(), next(self._numbers), action, process)
        heapq.heappush(self._events, event)

    def start(self, process: SimProcess, work: Coroutine[Any, Any, Any]) -> SimTask:
        """Begin a task in that process."""
        task = SimTask(self, process, work)
        self.after(0.0, lambda: task.wake(0), process)
        return task

    def run(self, until: float) -> None:
        """Run the events until that second, or until there is none left.

        Raises:
            Stuck: more than `max_steps` events.
        """
        while self._events and self._events[0][0] <= until:
            self._max_steps -= 1
            if self._max_steps < 0:
                raise Stuck(f"at {self.now:.3f} s")
            at, _, _, action, process = heapq.heappop(self._events)
            self.now = max(self.now, at)
            if process is not None and process.paused_until > self.now:
                self.after(process.paused_until - self.now, action, process)
            else:
                action()
        self.now = max(self.now, until)


class SimWakeup:
    """A wake-up of the simulation."""

    __slots__ = ("came", "waiter")

    def __init__(self) -> None:
        self.came = False
        self.waiter: tuple[SimTask, int] | None = None


class SimRuntime:
    """The runtime of one simulated process."""

    def __init__(self, sim: Sim, process: SimProcess) -> None:
        self.sim = sim
        self._home = process
        self._unfinished = 0

    def now(self) -> float:
        """The virtual clock, in seconds."""
        return self.sim.now

    def new_id(self) -> str:
        """An id that begins with the process's name."""
        return f"{self._home.name}.{next(self._home.numbers)}"

    def process(self) -> str:
        """The name of the process."""
        return self._home.name

    @property
    def home(self) -> SimProcess:
        """The process that it belongs to."""
        return self._home

    def caller(self) -> object:
        """The task that runs now."""
        return self.sim.current

    def is_alive(self, me: object) -> bool:
        """Whether that task has not ended."""
        return isinstance(me, SimTask) and not me.done

    def interrupt(self, me: object) -> bool:
        """Cancel that task."""
        return isinstance(me, SimTask) and me.cancel()

    def new_wakeup(self) -> SimWakeup:
        """A fresh wake-up for one waiter."""
        return SimWakeup()

    async def wait_for(self, notice: SimWakeup, timeout_s: float | None) -> bool:
        """Wait until `wake(notice)`, at most `timeout_s` seconds; True when it was woken."""
        if notice.came:
            return True

        def arrange(task: SimTask) -> None:
            suspension = task.suspensions
            notice.waiter = (task, suspension)
            if timeout_s is not None:
                self.sim.after(timeout_s, lambda: task.wake(suspension, False), self._home)

        return bool(await _Trap(arrange))

    def wake(self, notice: SimWakeup) -> None:
        """Wake the waiter of this notice."""
        if notice.came:
            return
        notice.came = True
        if notice.waiter is not None:
            task, suspension = notice.waiter
            self.sim.after(0.0, lambda: task.wake(suspension, True), task.process)

    async def sleep(self, seconds: float) -> None:
        """Pause in virtual time."""

        def arrange(task: SimTask) -> None:
            suspension = task.suspensions
            self.sim.after(seconds, lambda: task.wake(suspension), self._home)

        await _Trap(arrange)

    async def external(self, begin: Callable[[Callable[[Any], None], Callable[[BaseException], None]], None]) -> Any:
        """Wait for something outside the process: `begin` gets what to call with a value, or with an error."""

        def arrange(task: SimTask) -> None:
            suspension = task.suspensions
            begin(
                lambda value: self.sim.after(0.0, lambda: task.wake(suspension, value), self._home),
                lambda error: self.sim.after(0.0, lambda: task.fail(suspension, error), self._home),
            )

        return await _Trap(arrange)

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> SimTask:
        """Start a task in this process."""
        return self.sim.start(self._home, work)

    def is_running(self, job: SimTask) -> bool:
        """Whether a spawned task has not ended."""
        return not job.done

    def call_later(self, seconds: float, action: Callable[[], None]) -> None:
        """Call `action` after so many virtual seconds."""
        self.sim.after(seconds, action, self._home)

    def enter_loop(self) -> None:
        """Nothing: there is one loop."""

    async def join(self, job: SimTask, timeout_s: float) -> None:
        """Wait until a spawned task has ended, at most `timeout_s` seconds."""
        if not job.done:
            notice = self.new_wakeup()
            job.watchers.append(lambda: self.wake(notice))
            await self.wait_for(notice, timeout_s)

    def run_to_end(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run this as a task that no cancellation reaches."""
        self._unfinished += 1
        self.sim.start(self._home, work).watchers.append(self._finished)

    def _finished(self) -> None:
        self._unfinished -= 1

    async def drain(self, timeout_s: float = DRAIN_S) -> None:
        """Wait for every `run_to_end`, at most `timeout_s` seconds."""
        end = self.now() + timeout_s
        while self._unfinished and self.now() < end:
            await self.sleep(0.01)
