"""Callers for tests: a task or a thread of its own, so that each one owns only what it acquired."""

import asyncio
import contextlib
import inspect
import queue
import threading
from collections.abc import Callable
from typing import Any

_END_S = 5.0  # how long `close` waits for a call that is in flight


class TaskActor:
    """Runs calls one after another in a task of its own. `await actor(lock.acquire, timeout=1)` gives the result."""

    def __init__(self) -> None:
        self._calls: asyncio.Queue[Any] = asyncio.Queue()
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while (item := await self._calls.get()) is not None:
            future, function, args, kwargs = item
            try:
                result = function(*args, **kwargs)
                result = await result if inspect.isawaitable(result) else result
            except Exception as error:  # noqa: BLE001 - the caller gets it
                future.set_exception(error)
            else:
                future.set_result(result)

    def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> "asyncio.Future[Any]":
        future = asyncio.get_running_loop().create_future()
        self._calls.put_nowait((future, function, args, kwargs))
        return future

    async def close(self) -> None:
        """End the task."""
        self._calls.put_nowait(None)
        await asyncio.wait([self.task], timeout=_END_S)


class ThreadActor:
    """The same in a thread of its own."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while (item := self._calls.get()) is not None:
            loop, future, function, args, kwargs = item
            try:
                result, error = function(*args, **kwargs), None
            except Exception as raised:  # noqa: BLE001 - the caller gets it
                result, error = None, raised
            with contextlib.suppress(RuntimeError):  # the loop is closed: the test has ended
                loop.call_soon_threadsafe(_settle, future, result, error)

    def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> "asyncio.Future[Any]":
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._calls.put((loop, future, function, args, kwargs))
        return future

    async def close(self) -> None:
        """End the thread."""
        self._calls.put(None)
        await asyncio.to_thread(self.thread.join, _END_S)


def _settle(future: "asyncio.Future[Any]", result: Any, error: Exception | None) -> None:
    if future.cancelled():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
