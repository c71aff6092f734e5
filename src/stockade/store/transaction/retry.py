"""What a failed attempt means for its batch: answers, another attempt, or each command alone.

Neighbours: `transact` makes the attempts, `pending_batch` holds their state, `drivers.failures` classifies errors.
"""

import asyncio
import random
import time

from stockade.core import Backoff, Busy, Conflict, FenceRefused, NotSupported, StaleOffset, Stats
from stockade.drivers.failures import Failure, classify
from stockade.store.engine.backends import CommitUnconfirmed
from stockade.store.schema.known_tables import Unfit
from stockade.store.transaction.pending_batch import BatchState, PendingBatch
from stockade.store.transaction.save import RowChanged, RowsToInsert

MAX_ATTEMPTS = 10_000  # of one batch; its deadline ends it first, unless the database fails within microseconds
MAX_DUPLICATES = 5  # how many attempts a taken unique key may end before it is the command's own fault
BACKOFF = Backoff(retries=MAX_ATTEMPTS, first_ms=40, cap_ms=500)  # after a deadlock or a lost connection


class Retry:
    """Decides how a batch goes on after an error. One for a store.

    Args:
        stats: counts what happened.
    """

    def __init__(self, stats: Stats) -> None:
        self._stats = stats
        self._random = random.Random()

    async def resolve(self, error: Exception, batch: PendingBatch, deadline: float) -> None:
        """Move the batch to its next state, and pause before another attempt where that helps.

        Args:
            error: of the attempt.
            batch: that was attempted.
            deadline: on the monotonic clock, in seconds.
        """
        match error:
            case RowsToInsert():
                # A recorded request changes nothing, so rows are inserted only for ids that were looked up.
                batch.missing_rows = tuple(error.keys) if batch.looks_up_ids else ()
                batch.become(BatchState.LOOK_UP_IDS)
            case FenceRefused() | NotSupported() | StaleOffset():
                batch.give_up(error)
            case RowChanged():
                self._conflict(error, batch)
            case Busy():
                self._stats.lock_timeouts += 1
                batch.give_up(error)
            case _:
                await self._resolve_failure(error, batch, deadline)

    def _conflict(self, error: Exception, batch: PendingBatch) -> None:
        self._stats.conflicts += 1
        if batch.state is not BatchState.COMMIT_IN_DOUBT:  # else an earlier commit may have changed the row
            batch.answer([Conflict(str(error)) for _ in batch.commands])

    async def _resolve_failure(self, error: Exception, batch: PendingBatch, deadline: float) -> None:
        lost = isinstance(error, CommitUnconfirmed | TimeoutError)
        failure = Failure.LOST if lost else Failure.DATA if isinstance(error, Unfit) else classify(error)
        if lost:
            self._stats.unknown += len(batch.commands)
            batch.become(BatchState.COMMIT_IN_DOUBT)
        if failure is Failure.CONFLICT:
            self._conflict(error, batch)
        elif failure is Failure.DUPLICATE and batch.duplicates < MAX_DUPLICATES:
            batch.duplicates += 1
            batch.become(BatchState.LOOK_UP_IDS)
        elif failure in (Failure.DATA, Failure.DUPLICATE, Failure.OTHER):
            if len(batch.commands) == 1 or failure is Failure.OTHER:
                batch.give_up(error)
            else:
                batch.split()
        else:
            self._stats.deadlocks += failure is Failure.DEADLOCK
            await self._pause(error, failure, batch, deadline)

    async def _pause(self, error: Exception, failure: Failure, batch: PendingBatch, deadline: float) -> None:
        """Wait before the next attempt; without time for one, give up."""
        pause_s = BACKOFF.pause_s(batch.failures, self._random)
        batch.failures += 1
        if time.monotonic() + pause_s >= deadline:
            self._stats.lock_timeouts += failure is Failure.TIMEOUT
            code = "DEPENDENCY_DOWN" if failure is Failure.LOST else "LOCK_TIMEOUT"
            late = Busy(f"no turn before the deadline: {error}", code)
            late.__cause__ = error
            batch.give_up(late)
        elif failure is not Failure.TIMEOUT:
            await asyncio.sleep(pause_s)
