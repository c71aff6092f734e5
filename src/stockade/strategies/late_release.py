"""Releases locks after the answer, where the transaction of a command may still be committed.

A command whose deadline is over is answered: its outcome is unknown, its connection is being ended. The order is lock,
transaction, commit, release all the same, so its locks stay until that end (or until their lease is over, where a lease
is what they have). An ended connection is not a decided transaction: over a link so slow that the socket had to be
closed without a word of the server, a commit may arrive after the release. Only a guard on the rows protects from that
(`Store.settle`). Neighbours: `lock_based` and `in_process` begin releases here, `Store.settle` waits for the ends.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from stockade.core import Store

log = logging.getLogger(__name__)
CLOSE_WAIT_S: Final = 3.0  # longer than the end of a connection and a release take; twice that in all


class LateReleases:
    """The releases of one strategy that its callers do not wait for.

    Args:
        store: that knows when its transactions have ended.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, release: Callable[[], Awaitable[None]]) -> None:
        """Release once the store has settled; a task of its own, for the rare command that needs one.

        Args:
            release: releases, within a bound. Nobody waits for it, so an error of it is logged.
        """
        task = asyncio.create_task(self._run(release), name="stockade-late-release")
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def _run(self, release: Callable[[], Awaitable[None]]) -> None:
        try:
            await self._store.settle()
        finally:  # whatever settling met: a lock that nobody releases would stay for ever
            await release()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a lock was released late, and not in order: %r", error)

    async def close(self) -> None:
        """Wait for the releases that have begun, also for those that begin meanwhile.

        What still waits for the store after `CLOSE_WAIT_S` seconds is released at once: nobody would do it later.
        """
        await self._wait()
        if self._tasks:
            log.warning("locks are released although their transactions have not ended: %d", len(self._tasks))
            for task in self._tasks:
                task.cancel()
            await self._wait()

    async def _wait(self) -> None:
        end = time.monotonic() + CLOSE_WAIT_S
        while self._tasks and (left_s := end - time.monotonic()) > 0:
            await asyncio.wait(self._tasks, timeout=left_s)
