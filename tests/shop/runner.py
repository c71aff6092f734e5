"""Carries commands out on a real store, as a retrying strategy does, within bounds."""

import asyncio
import time

from stockade.core import Conflict, Guard
from stockade.service.ids import derived_id
from stockade.shop.model.resources import SHOP_RESOURCES
from stockade.store import SqlStore

GUARDS = [Guard.ROW, Guard.VERSION, Guard.TIMESTAMP, Guard.DELTA, Guard.SERIALIZABLE, Guard.ADVISORY]
ATTEMPTS = 500


class Runner:
    """A store under one guard, with a clock of the test's own."""

    def __init__(self, database, guard=Guard.ROW, now_ms=1_700_000_000_000):
        self.database = database
        self.store = SqlStore(database, SHOP_RESOURCES)
        self.guard = guard
        self.now_ms = now_ms
        self._count = 0

    def head(self):
        """A fresh request."""
        self._count += 1
        id_ = derived_id("runner", self._count)
        return id_, id_, self.now_ms

    async def execute(self, command):
        """One command, repeated while others win."""
        for _ in range(ATTEMPTS):
            (answer,) = await self.batch([command])
            if isinstance(answer, Conflict):
                continue
            if isinstance(answer, Exception):
                raise answer
            return answer
        raise AssertionError(f"{ATTEMPTS} conflicts in a row")

    async def all(self, commands):
        """All at once; their answers in order."""
        return await asyncio.gather(*(self.execute(command) for command in commands))

    async def batch(self, commands):
        """One transaction."""
        return await self.store.transact(commands, self.guard, deadline=time.monotonic() + 20)
