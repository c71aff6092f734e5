"""The runtime for threads: every method blocks and none suspends, so `run` needs no event loop.

Neighbours: `runtime.py` (the protocol), `async_runtime.py` (the same for asyncio).
"""

import contextlib
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from stockade.locks.events import log
from stockade.locks.runtime.identity import new_id, process_id
from stockade.locks.runtime.runtime import DRAIN_S, Runtime

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine of the engine over a `SyncRuntime` to its end: one `send`, since it never suspends.

    Raises:
        RuntimeError: it did suspend, because it awaited something else than the runtime.
    """
    try:
        work.send(None)
    except StopIteration as stop:
        value: T = stop.value
        return value
    work.close()
    raise RuntimeError("the lock engine awaited something that suspends, in a thread")


class SyncWakeup:
    """A mutex that is held until the wake-up; to wait is to try to take it."""

    __slots__ = ("_mutex", "_woken")

    def __init__(self) -> None:
        self._woken = False
        self._mutex = threading.Lock()
        self._mutex.acquire()

    def wait(self, timeout_s: float | None) -> bool:
        """Wait at most `timeout_s` seconds (None: no limit); True when it was woken. One thread waits."""
        if self._woken:
            return True
        bound_s = -1.0 if timeout_s is None else min(max(timeout_s, 0.0), threading.TIMEOUT_MAX)
        return self._mutex.acquire(timeout=bound_s)

    def set(self) -> None:
        """Wake the waiter; a second call changes nothing."""
        if not self._woken:
            self._woken = True
            with contextlib.suppress(RuntimeError):  # two threads did so at once: once is enough
                self._mutex.release()


class SyncRuntime(Runtime):
    """Mutexes, threads and `time.sleep`."""

    now = staticmethod(time.monotonic)
    new_id = staticmethod(new_id)
    process = staticmethod(process_id)

    def caller(self) -> object:
        return threading.current_thread()

    def is_alive(self, caller: object) -> bool:
        return isinstance(caller, threading.Thread) and caller.is_alive()

    def interrupt(self, caller: object) -> bool:
        return False  # a thread cannot be cancelled: `check()` and the end of the block raise LockLost

    def new_wakeup(self) -> SyncWakeup:
        return SyncWakeup()

    async def wait_for(self, wakeup: SyncWakeup, timeout_s: float | None) -> bool:
        return wakeup.wait(timeout_s)

    def wake(self, wakeup: SyncWakeup) -> None:
        wakeup.set()

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - blocking is what this runtime is for

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> threading.Thread | None:
        thread = threading.Thread(target=run, args=(work,), name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the interpreter is going down: nothing can be renewed for long any more
            work.close()
            log.warning("no thread for %s: %s", name, error)
            return None
        return thread

    def is_running(self, job: threading.Thread) -> bool:
        return job.is_alive()

    def call_later(self, seconds: float, action: Callable[[], None]) -> None:
        action()  # at once: callers wait only for a loop that cancels its tasks, and here is none

    async def join(self, job: threading.Thread, timeout_s: float) -> None:
        job.join(max(timeout_s, 0.0))

    def run_to_end(self, work: Coroutine[Any, Any, Any]) -> None:
        run(work)  # here: at exit, another thread might not run any more

    async def drain(self, timeout_s: float = DRAIN_S) -> None:
        return None

    def enter_loop(self) -> None:
        return None
