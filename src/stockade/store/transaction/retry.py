"""What a failed attempt means for its batch: answers, another attempt, or each command alone.

Neighbours: `transact` makes the attempts, `attempt` holds their state, `drivers.failures` classifies errors.
"""

import asyncio
import random
import time

from stockade.core import Busy, Conflict, FenceRefused, NotSupported, StaleOffset, Stats
from stockade.drivers.failures import Failure, classify
from stockade.store.engine.backends import CommitLost
from stockade.store.schema.known_tables import Unfit
from stockade.store.transaction.attempt import AttemptState, BatchAttempt
from stockade.store.transaction.save import MissingRows, RowChanged

MAX_ATTEMPTS = 10_000  # of one batch; its deadline ends it first, unless the database fails within microseconds
MAX_DUPLICATES = 5  # how many attempts a taken unique key may end before it is the command's own fault
PAUSE_S = 0.02  # bounds of the jittered pause after a deadlock or a lost connection
MAX_PAUSE_S = 0.5


class Retry:
    """Decides how a batch goes on after an error. One for a store.

    Args:
        stats: counts what happened.
    """

    def __init__(self, stats: Stats) -> None:
        self._stats = stats
        self._random = random.Random()

    async def resolve(self, error: Exception, attempt: BatchAttempt, deadline: float) -> None:
        """Move the batch to its next state, and pause before another attempt where that helps.

        Args:
            error: of the attempt.
            attempt: its batch.
            deadline: on the monotonic clock, in seconds.
        """
        match error:
            case MissingRows():
                # A recorded request changes nothing, so rows are inserted only for ids that were looked up.
                attempt.missing_rows = tuple(error.keys) if attempt.looks_up_ids else ()
                attempt.become(AttemptState.LOOK_UP_IDS)
            case FenceRefused() | NotSupported() | StaleOffset():
                attempt.give_up(error)
            case RowChanged():
                self._conflict(error, attempt)
            case Busy():
                self._stats.lock_timeouts += 1
                attempt.give_up(error)
            case _:
                await self._resolve_failure(error, attempt, deadline)

    def _conflict(self, error: Exception, attempt: BatchAttempt) -> None:
        self._stats.conflicts += 1
        if attempt.state is not AttemptState.COMMIT_IN_DOUBT:  # else an earlier commit may have changed the row
            attempt.answer([Conflict(str(error)) for _ in attempt.commands])

    async def _resolve_failure(self, error: Exception, attempt: BatchAttempt, deadline: float) -> None:
        lost = isinstance(error, CommitLost | TimeoutError)
        failure = Failure.LOST if lost else Failure.DATA if isinstance(error, Unfit) else classify(error)
        if lost:
            self._stats.unknown += len(attempt.commands)
            attempt.become(AttemptState.COMMIT_IN_DOUBT)
        if failure is Failure.CONFLICT:
            self._conflict(error, attempt)
        elif failure is Failure.DUPLICATE and attempt.duplicates < MAX_DUPLICATES:
            attempt.duplicates += 1
            attempt.become(AttemptState.LOOK_UP_IDS)
        elif failure in (Failure.DATA, Failure.DUPLICATE, Failure.OTHER):
            if len(attempt.commands) == 1 or failure is Failure.OTHER:
                attempt.give_up(error)
            else:
                attempt.split()
        else:
            self._stats.deadlocks += failure is Failure.DEADLOCK
            await self._pause(error, failure, attempt, deadline)

    async def _pause(self, error: Exception, failure: Failure, attempt: BatchAttempt, deadline: float) -> None:
        """Wait before the next attempt; without time for one, give up."""
        attempt.failures += 1
        pause_s = self._random.uniform(0, min(MAX_PAUSE_S, PAUSE_S * 2.0 ** min(attempt.failures, 10)))
        if time.monotonic() + pause_s >= deadline:
            self._stats.lock_timeouts += failure is Failure.TIMEOUT
            code = "DEPENDENCY_DOWN" if failure is Failure.LOST else "LOCK_TIMEOUT"
            late = Busy(f"no turn before the deadline: {error}", code)
            late.__cause__ = error
            attempt.give_up(late)
        elif failure is not Failure.TIMEOUT:
            await asyncio.sleep(pause_s)
