"""The port on asyncio. Neighbours: `port.py` (what it promises), `blocking.py` (the same for threads)."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

from stockade.locks.identity import new_id, process_id


class AsyncioPort:
    """Futures, tasks and the running loop; one port belongs to one loop."""

    now = staticmethod(time.monotonic)
    new_id = staticmethod(new_id)
    process = staticmethod(process_id)

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._unfinished: set[asyncio.Task[Any]] = set()

    def me(self) -> object:
        # Without a loop `current_task` looks for the running one, which costs a system call before Python 3.12.
        if self._loop is None or (task := asyncio.current_task(self._loop)) is None:
            self._loop = asyncio.get_running_loop()
            task = asyncio.current_task(self._loop)
        return task

    def is_alive(self, me: object) -> bool:
        return isinstance(me, asyncio.Task) and not me.done()

    def interrupt(self, me: object) -> bool:
        return isinstance(me, asyncio.Task) and me.cancel("lock lost")

    def notice(self) -> asyncio.Future[bool | None]:
        return (self._loop or asyncio.get_running_loop()).create_future()

    async def wait_notice(self, notice: asyncio.Future[bool | None], timeout_s: float | None) -> bool:
        if timeout_s is None:
            await notice
            return True
        timer = notice.get_loop().call_later(timeout_s, _expire, notice)
        try:
            expired: bool | None = await notice
            return expired is None
        finally:
            timer.cancel()

    def publish(self, notice: asyncio.Future[bool | None]) -> None:
        if not notice.done():
            notice.set_result(None)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._running.add(task)  # the loop itself keeps only weak references
        task.add_done_callback(self._running.discard)
        return task

    async def join(self, job: asyncio.Task[None]) -> None:
        await asyncio.wait([job])

    def finish(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work, name="stockade-lock-cleanup")
        self._unfinished.add(task)
        task.add_done_callback(self._unfinished.discard)

    async def settle(self) -> None:
        while self._unfinished:  # ends: each piece of work bounds its own time
            await asyncio.wait(list(self._unfinished))


def _expire(notice: "asyncio.Future[Any]") -> None:
    if not notice.done():
        notice.set_result(False)  # anything but None: the time is up
