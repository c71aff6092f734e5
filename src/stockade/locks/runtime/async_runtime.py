"""The runtime on asyncio. Neighbours: `runtime.py` (the protocol), `sync_runtime.py` (the same for threads)."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from threading import get_ident
from typing import Any

from stockade.locks.runtime.identity import new_id, process_id, reset_after_fork
from stockade.locks.runtime.runtime import DRAIN_S, Runtime


class AsyncRuntime(Runtime):
    """Futures, tasks and the running loop; a runtime belongs to one loop at a time.

    Attributes:
        on_loop_change: called as `on_loop_change(closed=…, busy=…)` at the first call in another loop. `closed`: the
            previous loop is closed. `busy`: something that `run_to_end` started still runs there. It raises WrongLoop,
            or drops everything that belongs to the previous loop.
    """

    now = staticmethod(time.monotonic)
    new_id = staticmethod(new_id)
    process = staticmethod(process_id)

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0  # the one that runs the loop; 0: unknown
        self._running: set[asyncio.Task[Any]] = set()
        self._unfinished: set[asyncio.Task[Any]] = set()
        self.on_loop_change: Callable[..., None] = lambda *, closed, busy: None
        reset_after_fork(self)

    def reset_in_child(self) -> None:
        """In the child of a fork: its thread has the id of the parent's."""
        self._thread = 0

    def caller(self) -> object:
        # With a current task in this thread the loop runs; `get_running_loop` is a system call before Python 3.12.
        if get_ident() == self._thread and (task := asyncio.current_task(self._loop)) is not None:
            return task
        self._change_loop(loop := asyncio.get_running_loop())
        return asyncio.current_task(loop)

    def enter_loop(self) -> None:
        if get_ident() != self._thread or asyncio.current_task(self._loop) is None:
            self._change_loop(asyncio.get_running_loop())

    def _change_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Belong to the running loop from now on."""
        if loop is self._loop:
            self._thread = get_ident()
            return
        if (previous := self._loop) is not None:
            self.on_loop_change(closed=previous.is_closed(), busy=self._busy())
        self._loop, self._running, self._unfinished = loop, set(), set()
        self._thread = get_ident()

    def _busy(self) -> bool:
        """Whether something that `run_to_end` has started still runs."""
        return any(not task.done() for task in self._unfinished)

    def is_alive(self, caller: object) -> bool:
        return isinstance(caller, asyncio.Task) and not caller.done() and not caller.get_loop().is_closed()

    def interrupt(self, caller: object) -> bool:
        return isinstance(caller, asyncio.Task) and not caller.get_loop().is_closed() and caller.cancel("lock lost")

    def new_wakeup(self) -> asyncio.Future[bool | None]:
        return asyncio.get_running_loop().create_future()

    async def wait_for(self, wakeup: asyncio.Future[bool | None], timeout_s: float | None) -> bool:
        if timeout_s is None:
            await wakeup
            return True
        timer = wakeup.get_loop().call_later(timeout_s, _expire, wakeup)
        try:
            expired: bool | None = await wakeup
            return expired is None
        finally:
            timer.cancel()

    def wake(self, wakeup: asyncio.Future[bool | None]) -> None:
        loop = wakeup.get_loop()
        if loop is _running():
            _set(wakeup)
        elif not loop.is_closed():
            loop.call_soon_threadsafe(_set, wakeup)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any] | None:
        if _running() is None:  # the garbage collector throws a waiting coroutine away after the end of its loop
            work.close()
            return None
        task = asyncio.create_task(work, name=name)
        self._running.add(task)  # the loop itself keeps only weak references
        task.add_done_callback(self._running.discard)
        return task

    def is_running(self, job: asyncio.Task[Any]) -> bool:
        return not job.done() and not job.get_loop().is_closed()

    def call_later(self, seconds: float, action: Callable[[], None]) -> None:
        if (loop := _running()) is not None:  # without a loop nothing can be renewed or repeated
            loop.call_later(seconds, action)

    async def join(self, job: asyncio.Task[Any], timeout_s: float) -> None:
        await asyncio.wait([job], timeout=max(timeout_s, 0.0))

    def run_to_end(self, work: Coroutine[Any, Any, Any]) -> None:
        if _running() is None:  # as for `spawn`
            work.close()
            return
        task = asyncio.create_task(work, name="stockade-lock-cleanup")
        self._unfinished.add(task)
        task.add_done_callback(self._unfinished.discard)

    async def drain(self, timeout_s: float = DRAIN_S) -> None:
        end = self.now() + timeout_s
        while self._unfinished and (left_s := end - self.now()) > 0:
            await asyncio.wait(list(self._unfinished), timeout=left_s)


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _set(wakeup: "asyncio.Future[Any]") -> None:
    if not wakeup.done():
        wakeup.set_result(None)


def _expire(wakeup: "asyncio.Future[Any]") -> None:
    if not wakeup.done():
        wakeup.set_result(False)  # not None: the time is up
