"""Base classes of the strategies: one attempt at one command, and repeated attempts after a conflict."""

import asyncio
import random
import time
from typing import ClassVar

from stockade.core import Command, Conflict, Guarantees, Guard, Outcome, Store
from stockade.strategies.options import Options


class Base:
    """A strategy without background work. A subclass defines its guarantees, its guard, and where a command waits.

    Attributes:
        may_be_several: whether a group of commands may have an object of its own: its guard alone protects the rows.
    """

    name: ClassVar[str]
    guarantees: ClassVar[Guarantees]
    may_be_several: ClassVar[bool] = False

    def __init__(self, store: Store, options: Options | None = None) -> None:
        self.store = store
        self.options = options or Options()

    @property
    def guard(self) -> Guard:
        raise NotImplementedError

    @property
    def depth(self) -> int:
        """No queue."""
        return 0

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        """Nothing to stop."""

    async def execute(self, command: Command) -> Outcome:
        """See `stockade.core.Strategy.execute`."""
        return await self.transact_one(command, self.guard, time.monotonic() + self.options.wait_s)

    async def transact_one(self, command: Command, guard: Guard, deadline: float) -> Outcome:
        """One transaction under a guard."""
        (answer,) = await self.store.transact([command], guard, deadline=deadline)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Retrying(Base):
    """Repeats an attempt after a conflict, with jittered back-off; the number and the deadline bound it."""

    def __init__(self, store: Store, options: Options | None = None) -> None:
        super().__init__(store, options)
        self._random = random.Random()

    async def execute(self, command: Command) -> Outcome:
        """See `stockade.core.Strategy.execute`."""
        return await self.transact_with_retries(command, self.guard, time.monotonic() + self.options.wait_s)

    async def transact_with_retries(self, command: Command, guard: Guard, deadline: float) -> Outcome:
        """Attempt until there is no conflict, the retries are spent or the deadline has passed."""
        backoff = self.options.backoff
        for attempt in range(backoff.retries + 1):
            try:
                return await self.transact_one(command, guard, deadline)
            except Conflict:
                pause_s = backoff.pause_s(attempt, self._random)
                if attempt == backoff.retries or time.monotonic() + pause_s >= deadline:
                    raise
                await asyncio.sleep(pause_s)
        raise AssertionError("the last attempt returns or raises")
