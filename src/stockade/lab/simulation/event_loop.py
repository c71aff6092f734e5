"""An event loop in virtual time: that of one simulated process. Its callbacks run in the order that asyncio promises.

Neighbour: `world.py` decides which process runs next, and when.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from stockade.lab.simulation.world import World


class SimulatedLoop:
    """What tasks, futures, locks and timeouts of asyncio need of a loop; there are no sockets and no threads.

    Args:
        world: whose clock it has.
        process: that it belongs to.

    Attributes:
        paused: nothing of this process runs.
        crashed: nothing of this process will ever run again; what is ready stays, so that tasks can be ended properly
            when the run is over.
        errors: what no task and no future has taken.
        as_asyncio: this loop, as asyncio wants it; methods that the simulator does not need are missing.
    """

    def __init__(self, world: "World", name: str) -> None:
        self.world = world
        self.name = name
        self.as_asyncio = cast(asyncio.AbstractEventLoop, self)
        self.ready: deque[asyncio.Handle] = deque()
        self.paused = False
        self.crashed = False
        self.errors: list[dict[str, Any]] = []
        self.tasks: list[asyncio.Task[Any]] = []

    def time(self) -> float:
        return self.world.now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self.as_asyncio, context)
        self._append(handle)
        return handle

    def _append(self, handle: asyncio.Handle) -> None:
        if not self.ready:
            self.world.is_ready(self)
        self.ready.append(handle)

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self, delay_s: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.world.now + delay_s, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self.as_asyncio, context)
        self.world.after(when - self.world.now, lambda: self._due(handle))
        return handle

    def _due(self, handle: asyncio.Handle) -> None:
        if not handle.cancelled():
            self._append(handle)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Asked by the handle; the world skips it when its time has come."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self.as_asyncio)

    def create_task(
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[Any]:
        task = asyncio.Task(coro, loop=self.as_asyncio, name=name, context=context)
        self.tasks.append(task)
        return task

    def run_in_executor(self, _executor: object, work: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """A thread that takes no time."""
        future = self.create_future()
        try:
            future.set_result(work(*args))
        except Exception as error:  # noqa: BLE001 - given to who waits
            future.set_exception(error)
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.errors.append(context)

    def unhandled(self) -> list[str]:
        """What nobody has taken: errors of callbacks, and of tasks whose end nobody asked for."""
        raised = [each.get("exception") or each.get("message") for each in self.errors]
        ended = [task for task in self.tasks if task.done() and not task.cancelled()]
        # asked for before `exception`, which counts as taking it
        raised += [task.exception() for task in ended if task._log_traceback]  # noqa: SLF001 - asyncio's own mark
        return [f"{type(each).__name__}: {each}" if isinstance(each, BaseException) else str(each) for each in raised]

    def run_ready(self) -> int:
        """Run what is ready now, in order; how many callbacks that were."""
        ready = self.ready
        count = 0
        while ready and not self.paused:
            handle = ready.popleft()
            if not handle.cancelled():
                handle._run()  # noqa: SLF001 - as every loop of asyncio does
                count += 1
        return count
