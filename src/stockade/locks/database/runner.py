"""Where the drivers' coroutines run: in the caller's event loop, or in a loop in a thread for callers that block.

The blocking side waits with plain locks only, each held for an instant. So a signal handler that interrupts a waiting
caller may itself make a call, and a child after a fork finds no lock taken.
"""

import asyncio
import os
import sys
import threading
from collections.abc import Coroutine, Hashable
from typing import Any, Generic, Protocol, TypeVar

from stockade.locks.errors import LockUnavailable, ProviderClosed

T = TypeVar("T")
_CHECK_S = 1.0  # how often a blocked caller checks whether its loop still runs
_STOP_S = 5.0


class Runner(Protocol):
    """How a coroutine is run: awaited, or sent to a loop in a thread."""

    def place(self) -> Hashable:
        """Where coroutines run now. Connections that were made elsewhere cannot be used. Called inside `run`."""
        ...

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`."""
        ...

    async def close(self) -> None:
        """Run nothing more."""
        ...


class AwaitingRunner:
    """For asyncio: simply await."""

    def place(self) -> Hashable:
        return os.getpid(), asyncio.get_running_loop()

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        return await work

    async def close(self) -> None:
        return None


class LoopThreadRunner:
    """For threads: a loop in a daemon thread, started by the first call of each process."""

    def __init__(self) -> None:
        self._threads: dict[int, _LoopThread] = {}  # by process: a child keeps its parent's, unused
        self._closed = False

    def place(self) -> Hashable:
        return os.getpid()

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        call: _Call[T] = _Call(work)
        if self._closed:
            work.close()
            raise ProviderClosed()
        thread = self._threads.get(os.getpid()) or self._make()
        try:
            thread.start()
            thread.loop.call_soon_threadsafe(call.begin)
        except BaseException:
            work.close()
            raise
        try:
            return call.result(thread)
        except BaseException:
            if not thread.loop.is_closed():
                thread.loop.call_soon_threadsafe(call.cancel)
            raise

    def _make(self) -> "_LoopThread":
        made = _LoopThread()
        kept = self._threads.setdefault(os.getpid(), made)  # another thread may have been first
        if kept is not made:
            made.loop.close()
        return kept

    async def close(self) -> None:
        self._closed = True
        thread = self._threads.get(os.getpid())
        if thread is not None:
            thread.stop()


class _LoopThread:
    """An event loop and the thread that runs it."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="stockade-lock-sessions", daemon=True)
        self._starting = threading.Lock()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def start(self) -> None:
        """Start the thread unless it runs.

        Raises:
            LockUnavailable: the interpreter is ending, or the caller is that very thread.
        """
        if sys.is_finalizing():  # it does not run any more, though only Python 3.11 says so
            raise LockUnavailable("the interpreter is ending")
        if self._thread.is_alive():
            if threading.get_ident() == self._thread.ident:
                raise LockUnavailable("a lock was used inside the thread of its own connections, e.g. by a finalizer")
            return
        if self._thread.ident is None and self._starting.acquire(blocking=False):
            try:
                self._thread.start()
            except RuntimeError as error:
                raise LockUnavailable(f"the thread of the lock's connections cannot start: {error}") from error
            finally:
                self._starting.release()

    def stop(self) -> None:
        """End the thread and the loop."""
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(_STOP_S)
        if not self.loop.is_running():
            self.loop.close()


class _Call(Generic[T]):
    """A coroutine on its way through the loop's thread, and the caller that waits for its end."""

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self._work = work
        self._task: asyncio.Task[T] | None = None
        self._cancelled = False
        self._ended = threading.Lock()
        self._ended.acquire()

    def begin(self) -> None:
        """In the loop: start it."""
        if self._cancelled:
            self._work.close()
            return
        self._task = asyncio.get_running_loop().create_task(self._work)
        self._task.add_done_callback(lambda task: self._ended.release())

    def cancel(self) -> None:
        """In the loop: its caller was interrupted."""
        self._cancelled = True
        if self._task is not None and not self._task.cancel() and not self._task.cancelled():
            self._task.exception()  # nobody else reads it

    def result(self, thread: _LoopThread) -> T:
        """In the caller's thread: wait for the end."""
        while not self._ended.acquire(timeout=_CHECK_S):  # ends: every call bounds its own time
            if thread.loop.is_closed():
                raise ProviderClosed()
            thread.start()
        assert self._task is not None
        if self._task.cancelled():
            raise ProviderClosed()
        return self._task.result()
