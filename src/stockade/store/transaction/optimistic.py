"""The executor of a batch whose rows are read without locks and compared at the write.

It serves NONE, VERSION, TIMESTAMP and DELTA: the strategies `optimistic`, `conditional`, `unprotected`,
`in-process` and those with a lock server. Neighbours: `transact` chooses it, `steps` has the steps, `save` compares,
`double_collect` confirms refusals.
"""

import time
from functools import partial

from sqlalchemy import Connection

from stockade.core import Guard, GuardKind
from stockade.store.transaction.double_collect import confirm, rows_of_refusals
from stockade.store.transaction.pending_batch import PendingBatch
from stockade.store.transaction.steps import Steps
from stockade.store.transaction.write_set import WriteSet

OPTIMISTIC = frozenset({GuardKind.NONE, GuardKind.VERSION, GuardKind.TIMESTAMP, GuardKind.DELTA})


class OptimisticExecutor:
    """Carries out batches under VERSION, TIMESTAMP and DELTA, and under NONE, which compares nothing.

    Args:
        steps: of the store.
    """

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    async def run(self, batch: PendingBatch, guard: Guard, deadline: float) -> WriteSet:
        """Load and decide, then compare and write: in one transaction, or on SQLite in two.

        Args:
            batch: to carry out.
            guard: its kind is in `OPTIMISTIC`.
            deadline: on the monotonic clock, in seconds.
        """
        if self._steps.database.dialect.reads_outside_transaction:
            return await self._run_apart(batch, guard, deadline)

        def body(connection: Connection) -> WriteSet:
            rows, recorded = self._steps.load(connection, batch, guard)
            write_set = self._steps.decide(batch, guard, rows, recorded)
            if doubtful := rows_of_refusals(batch, write_set, guard):
                confirm(doubtful, rows, write_set, partial(self._steps.read_again, connection))
            if not write_set.replaces_records:
                batch.report_decided()
            return self._steps.write(connection, batch, write_set, guard)

        return await self._steps.database.transaction(body, deadline=deadline)

    async def _run_apart(self, batch: PendingBatch, guard: Guard, deadline: float) -> WriteSet:
        database = self._steps.database
        async with database.reserve_slot(deadline):
            left_s = max(0.001, deadline - time.monotonic())
            rows, recorded = await database.read(lambda c: self._steps.load(c, batch, guard), timeout_s=left_s)
            write_set = self._steps.decide(batch, guard, rows, recorded)
            if doubtful := rows_of_refusals(batch, write_set, guard):
                left_s = max(0.001, deadline - time.monotonic())
                await database.read(
                    lambda c: confirm(doubtful, rows, write_set, partial(self._steps.read_again, c)), timeout_s=left_s
                )
            if not write_set.requests and batch.offsets is None:
                return write_set
            return await database.transaction(
                lambda c: self._steps.write(c, batch, write_set, guard), deadline=deadline
            )
