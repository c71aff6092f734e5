"""Actors that use either face of the lock library from one kind of test.

An actor is a task (asyncio face) or a thread (sync face) with its own identity: what it acquires, only it owns.
`await alice(lock.acquire, timeout=1)` runs the call there and gives its result, whichever face it is.
"""

import asyncio
import inspect
import queue
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from tests.waiting import eventually_async


class Interrupt(BaseException):
    """What a signal raises, as KeyboardInterrupt would be."""


class TaskActor:
    """Runs calls one after another in a task of its own."""

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
        self._calls.put_nowait(None)
        await asyncio.wait([self.task], timeout=5)


class ThreadActor:
    """Runs calls one after another in a thread of its own."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while (item := self._calls.get()) is not None:
            loop, future, function, args, kwargs = item
            try:
                result, error = function(*args, **kwargs), None
            except Exception as trouble:  # noqa: BLE001 - the caller gets it
                result, error = None, trouble
            loop.call_soon_threadsafe(_settle, future, result, error)

    def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> "asyncio.Future[Any]":
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._calls.put((loop, future, function, args, kwargs))
        return future

    async def close(self) -> None:
        self._calls.put(None)
        await asyncio.to_thread(self.thread.join, 5)


def _settle(future: "asyncio.Future[Any]", result: Any, error: Exception | None) -> None:
    if future.cancelled():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


async def eventually(condition: Callable[[], Any], within_s: float = 5.0) -> None:
    """Until `condition()` (or what it awaits) is true; fail after `within_s` seconds."""

    async def look() -> Any:
        value = condition()
        return await value if isinstance(value, Awaitable) else value

    await eventually_async(look, within_s)


async def work_for(seconds: float) -> None:
    """Stands for work that takes this long."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    timer = loop.call_later(seconds, lambda: done.done() or done.set_result(None))
    try:
        await done
    finally:
        timer.cancel()


async def work_for_ever() -> None:
    """Stands for work that ends only by being cancelled."""
    await asyncio.Event().wait()


async def waiting(call: "asyncio.Future[Any]", for_s: float = 0.03) -> bool:
    """Whether the call is still under way a moment later."""
    done, _ = await asyncio.wait([call], timeout=for_s)
    return not done


async def queued(world: Any, lock: Any, number: int) -> None:
    """Until `inspect` sees that many waiters."""
    probe = world.actor()

    async def enough() -> bool:
        return len((await probe(lock.inspect)).waiters) >= number

    await eventually(enough)
