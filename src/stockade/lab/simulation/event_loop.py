"""An event loop in virtual time: that of one simulated process. Its callbacks run in the order that asyncio promises.

Neighbour: `world.py` decides which process runs next, and when.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from stockade.lab.simulation.world import World


class Handle:
    """A callback that waits for its turn, without what `asyncio.Handle` keeps for debugging."""

    __slots__ = ("args", "callback", "context")

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None) -> None:
        self.callback: Callable[..., object] | None = callback
        self.args = args
        self.context = copy_context() if context is None else context

    def cancel(self) -> None:
        """Never call it."""
        self.callback, self.args = None, ()

    def cancelled(self) -> bool:
        return self.callback is None


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
        self.ready: deque[Handle] = deque()
        self.running = False  # what is ready is being run: the world need not hear of more
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

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> Handle:
        handle = Handle(callback, args, context)
        self._append(handle)
        return handle

    def _append(self, handle: Handle) -> None:
        if not self.ready and not self.running:
            self.world.is_ready(self)
        self.ready.append(handle)

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Handle:
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self, delay_s: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Handle:
        return self.call_at(self.world.now + delay_s, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Handle:
        handle = Handle(callback, args, context)
        self.world.after(when - self.world.now, lambda: self._due(handle))
        return handle

    def _due(self, handle: Handle) -> None:
        if handle.callback is not None:
            self._append(handle)

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
        self.running = True
        try:
            while ready and not self.paused:
                handle = ready.popleft()
                if handle.callback is not None:
                    count += 1
                    try:
                        handle.context.run(handle.callback, *handle.args)
                    except (SystemExit, KeyboardInterrupt):
                        raise
                    except BaseException as error:  # noqa: BLE001 - as every loop of asyncio does
                        self.call_exception_handler({"message": "an error in a callback", "exception": error})
        finally:
            self.running = False
        return count
