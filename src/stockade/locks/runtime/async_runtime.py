"""The port on asyncio. Neighbours: `port.py` (what it promises), `blocking.py` (the same for threads)."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from threading import get_ident
from typing import Any

from stockade.locks.engine.identity import new_id, process_id, reset_after_fork
from stockade.locks.runtime.runtime import DRAIN_S


class AsyncRuntime:
    """Futures, tasks and the running loop; one port belongs to one loop at a time.

    Attributes:
        on_move: called as `on_move(closed=…, busy=…)` when a call comes in another loop: whether the one of before is
            closed, and whether something given to `finish` goes on there. It raises, or lets go of all that is there.
    """

    now = staticmethod(time.monotonic)
    new_id = staticmethod(new_id)
    process = staticmethod(process_id)

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0  # that runs it; 0: not known
        self._running: set[asyncio.Task[None]] = set()
        self._unfinished: set[asyncio.Task[Any]] = set()
        self.on_move: Callable[..., None] = lambda *, closed, busy: None
        reset_after_fork(self)

    def reset_in_child(self) -> None:
        """In the child of a fork: the loop of before seems to run here."""
        self._thread = 0

    def caller(self) -> object:
        # A task of our loop in this thread: the loop runs. Asking for it costs a system call before Python 3.12.
        if get_ident() == self._thread and (task := asyncio.current_task(self._loop)) is not None:
            return task
        self._arrive(loop := asyncio.get_running_loop())
        return asyncio.current_task(loop)

    def enter_loop(self) -> None:
        if get_ident() != self._thread or asyncio.current_task(self._loop) is None:
            self._arrive(asyncio.get_running_loop())

    def _arrive(self, loop: asyncio.AbstractEventLoop) -> None:
        """Belong to the running loop from now on."""
        if loop is self._loop:
            self._thread = get_ident()
            return
        if (before := self._loop) is not None:
            self.on_move(closed=before.is_closed(), busy=self._cleaning())
        self._loop, self._running, self._unfinished = loop, set(), set()
        self._thread = get_ident()

    def _cleaning(self) -> bool:
        """Whether something given to `finish` is still under way."""
        return any(not task.done() for task in self._unfinished)

    def is_alive(self, me: object) -> bool:
        return isinstance(me, asyncio.Task) and not me.done() and not me.get_loop().is_closed()

    def interrupt(self, me: object) -> bool:
        return isinstance(me, asyncio.Task) and not me.get_loop().is_closed() and me.cancel("lock lost")

    def new_wakeup(self) -> asyncio.Future[bool | None]:
        return asyncio.get_running_loop().create_future()

    async def wait_for(self, notice: asyncio.Future[bool | None], timeout_s: float | None) -> bool:
        if timeout_s is None:
            await notice
            return True
        timer = notice.get_loop().call_later(timeout_s, _expire, notice)
        try:
            expired: bool | None = await notice
            return expired is None
        finally:
            timer.cancel()

    def wake(self, notice: asyncio.Future[bool | None]) -> None:
        loop = notice.get_loop()
        if loop is _running():
            _come(notice)
        elif not loop.is_closed():
            loop.call_soon_threadsafe(_come, notice)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None] | None:
        if _running() is None:  # a waiter's coroutine is thrown away after the end of its loop
            work.close()
            return None
        task = asyncio.create_task(work, name=name)
        self._running.add(task)  # the loop itself keeps only weak references
        task.add_done_callback(self._running.discard)
        return task

    def is_running(self, job: asyncio.Task[None]) -> bool:
        return not job.done() and not job.get_loop().is_closed()

    def call_later(self, seconds: float, action: Callable[[], None]) -> None:
        if (loop := _running()) is not None:  # otherwise nothing can be kept up any more
            loop.call_later(seconds, action)

    async def join(self, job: asyncio.Task[None], timeout_s: float) -> None:
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


def _come(notice: "asyncio.Future[Any]") -> None:
    if not notice.done():
        notice.set_result(None)


def _expire(notice: "asyncio.Future[Any]") -> None:
    if not notice.done():
        notice.set_result(False)  # anything but None: the time is up
