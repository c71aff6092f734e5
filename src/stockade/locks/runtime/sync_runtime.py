"""The port for threads: every method blocks, none suspends, so `run` needs no event loop.

Neighbours: `port.py` (what it promises), `loop.py` (the same for asyncio).
"""

import contextlib
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from stockade.locks.engine.identity import new_id, process_id
from stockade.locks.events import log
from stockade.locks.runtime.runtime import DRAIN_S

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Drive a coroutine of the core over a blocking port: one `send`, since it never suspends.

    Raises:
        RuntimeError: it did suspend, which means that it awaited something else than the port.
    """
    try:
        work.send(None)
    except StopIteration as stop:
        value: T = stop.value
        return value
    work.close()
    raise RuntimeError("the lock core awaited something that is not a blocking port")


class SyncWakeup:
    """A lock that is held until the notice comes; waiting is trying to take it."""

    __slots__ = ("_came", "_gate")

    def __init__(self) -> None:
        self._came = False
        self._gate = threading.Lock()
        self._gate.acquire()

    def wait(self, timeout_s: float | None) -> bool:
        """True when the notice came. One thread waits."""
        if self._came:
            return True
        bound_s = -1.0 if timeout_s is None else min(max(timeout_s, 0.0), threading.TIMEOUT_MAX)
        return self._gate.acquire(timeout=bound_s)

    def set(self) -> None:
        """Publish; a second time changes nothing."""
        if not self._came:
            self._came = True
            with contextlib.suppress(RuntimeError):  # two threads published at once: once is enough
                self._gate.release()


class SyncRuntime:
    """Locks, threads and time.sleep."""

    now = staticmethod(time.monotonic)
    new_id = staticmethod(new_id)
    process = staticmethod(process_id)

    def caller(self) -> object:
        return threading.current_thread()

    def is_alive(self, me: object) -> bool:
        return isinstance(me, threading.Thread) and me.is_alive()

    def interrupt(self, me: object) -> bool:
        return False  # a thread cannot be cancelled: `check()` and the end of the block tell

    def new_wakeup(self) -> SyncWakeup:
        return SyncWakeup()

    async def wait_for(self, notice: SyncWakeup, timeout_s: float | None) -> bool:
        return notice.wait(timeout_s)

    def wake(self, notice: SyncWakeup) -> None:
        notice.set()

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - blocking is what this port is for

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> threading.Thread | None:
        thread = threading.Thread(target=run, args=(work,), name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the interpreter is going down: nothing can be kept for long any more
            work.close()
            log.warning("no thread for %s: %s", name, error)
            return None
        return thread

    def is_running(self, job: threading.Thread) -> bool:
        return job.is_alive()

    def call_later(self, seconds: float, action: Callable[[], None]) -> None:
        action()

    async def join(self, job: threading.Thread, timeout_s: float) -> None:
        job.join(max(timeout_s, 0.0))

    def run_to_end(self, work: Coroutine[Any, Any, Any]) -> None:
        run(work)  # inline: at exit a thread of its own might not get to run

    async def drain(self, timeout_s: float = DRAIN_S) -> None:
        return None

    def enter_loop(self) -> None:
        return None
