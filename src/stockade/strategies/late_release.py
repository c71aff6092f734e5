"""Releases locks after the answer, where the transaction of a command may still be committed.

A command whose deadline is over is answered: its outcome is unknown, its connection is being ended. The order is lock,
transaction, commit, release all the same, so its locks stay until that end (or until their lease is over, where a lease
is what they have). Neighbours: `lock_based` and `in_process` begin releases here, `Store.settle` waits for the ends.
"""

import asyncio
from collections.abc import Awaitable, Callable

from stockade.core import Store


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
            release: releases, within a bound and without an error.
        """
        task = asyncio.create_task(self._run(release), name="stockade-late-release")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, release: Callable[[], Awaitable[None]]) -> None:
        try:
            await self._store.settle()
        finally:  # whatever settling met: a lock that nobody releases would stay for ever
            await release()

    async def close(self) -> None:
        """Wait for the releases that have begun, also for those that begin meanwhile; each is bounded by itself."""
        while self._tasks:
            await asyncio.wait(self._tasks)
