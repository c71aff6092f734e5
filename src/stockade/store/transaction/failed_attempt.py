"""What a failed attempt at a transaction means for its commands: their answers, or another attempt.

Neighbours: `transact` makes the attempts, `pending` says what is known of them, `drivers.failures` tells errors apart.
"""

import asyncio
import random
import time
from enum import Enum

from stockade.core import Busy, Conflict, Stats
from stockade.drivers.failures import Failure, classify
from stockade.store.engine.backends import CommitLost
from stockade.store.schema.known_tables import Unfit
from stockade.store.transaction.attempt import Pending
from stockade.store.transaction.decide import Answer
from stockade.store.transaction.single_statement.duplicate_lookup import Repeats

MAX_DUPLICATES = 5  # how often a taken unique key is looked into before it is the command's own fault
PAUSE_S = 0.02  # bounds of the jittered pause after a deadlock or a lost connection
MAX_PAUSE_S = 0.5


class Next(Enum):
    """What to do where there are no answers yet."""

    AGAIN = "again"
    ONE_BY_ONE = "one by one"  # a command is at fault, and nobody knows which


class FailedAttempts:
    """One for a store.

    Args:
        stats: counts what happened.
        repeats: hears of unique keys that were taken.
    """

    def __init__(self, stats: Stats, repeats: Repeats) -> None:
        self._stats, self._repeats = stats, repeats
        self._random = random.Random()

    async def weigh(self, error: Exception, pending: Pending, deadline: float) -> list[Answer] | Next:
        """Tell an error apart, note in `pending` what the next attempt must know, and pause where that helps.

        Args:
            error: of the attempt.
            pending: its commands.
            deadline: on the monotonic clock, in seconds.
        """
        lost = isinstance(error, CommitLost | TimeoutError)
        failure = Failure.LOST if lost else Failure.DATA if isinstance(error, Unfit) else classify(error)
        if lost:
            self._stats.unknown += len(pending.commands)
            pending.uncertain = pending.look_up = True
            pending.early = False
        if failure is Failure.CONFLICT:
            self._stats.conflicts += 1
            return Next.AGAIN if pending.uncertain else [Conflict(str(error)) for _ in pending.commands]
        if failure is Failure.DUPLICATE and pending.duplicates < MAX_DUPLICATES:
            self._repeats.came()
            pending.duplicates, pending.look_up, pending.early = pending.duplicates + 1, True, False
            return Next.AGAIN
        if failure in (Failure.DATA, Failure.DUPLICATE, Failure.OTHER):
            if len(pending.commands) == 1 or failure is Failure.OTHER:
                return pending.give_up(error)
            return Next.ONE_BY_ONE
        if failure is Failure.DEADLOCK:
            self._stats.deadlocks += 1
        return await self._pause(error, failure, pending, deadline)

    async def _pause(
        self, error: Exception, failure: Failure, pending: Pending, deadline: float
    ) -> list[Answer] | Next:
        """Until the next attempt, if there is time for one."""
        pending.failures += 1
        pause_s = self._random.uniform(0, min(MAX_PAUSE_S, PAUSE_S * 2.0 ** min(pending.failures, 10)))
        if time.monotonic() + pause_s >= deadline:
            self._stats.lock_timeouts += failure is Failure.TIMEOUT
            code = "DEPENDENCY_DOWN" if failure is Failure.LOST else "LOCK_TIMEOUT"
            late = Busy(f"no turn before the deadline: {error}", code)
            late.__cause__ = error
            return pending.give_up(late)
        if failure is not Failure.TIMEOUT:
            await asyncio.sleep(pause_s)
        return Next.AGAIN
