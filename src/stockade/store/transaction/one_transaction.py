"""The executor of a batch in one transaction that loads, decides and writes.

Under ROW it locks the rows first. FENCE and ADVISORY hold a lock around them, SERIALIZABLE leaves isolation to the
database; these three compare every row once more at the write.
Neighbours: `transact` chooses it, `steps` has the steps.
"""

from sqlalchemy import Connection

from stockade.core import Busy, Guard, GuardKind, merged_keys
from stockade.drivers.failures import Failure, classify, describe
from stockade.store.transaction.pending_batch import PendingBatch
from stockade.store.transaction.single_statement.executor import SingleStatement
from stockade.store.transaction.steps import Steps
from stockade.store.transaction.write_set import WriteSet


class OneTransactionExecutor:
    """Carries out batches under ROW, FENCE, ADVISORY and SERIALIZABLE.

    Args:
        steps: of the store.
        single_statement: learns from the rows that were locked; None: it is switched off.
    """

    def __init__(self, steps: Steps, single_statement: SingleStatement | None) -> None:
        self._steps, self._single_statement = steps, single_statement

    async def run(self, batch: PendingBatch, guard: Guard, deadline: float) -> WriteSet:
        """Load, decide and write in one transaction.

        Args:
            batch: to carry out.
            guard: its kind is one of the four.
            deadline: on the monotonic clock, in seconds.

        Raises:
            Busy: `nowait`, and another transaction holds a row (on SQLite: the file); this one is rolled back.
        """

        def body(connection: Connection) -> WriteSet:
            rows, recorded = self._steps.load(connection, batch, guard)
            loaded = dict(rows)
            write_set = self._steps.decide(batch, guard, rows, recorded)
            if self._single_statement is not None and guard.kind is GuardKind.ROW:
                self._single_statement.observe(loaded, write_set)
            if not write_set.replaces_records:
                batch.report_decided()
            return self._steps.write(connection, batch, write_set, guard)

        isolation = "SERIALIZABLE" if guard.kind is GuardKind.SERIALIZABLE else None
        keys = merged_keys(batch.commands, batch.extra_keys) if guard.kind is GuardKind.ADVISORY else ()
        advisory = sorted(map(str, keys))
        database = self._steps.database
        try:
            return await database.transaction(
                body, deadline=deadline, isolation=isolation, advisory=advisory, nowait=guard.nowait
            )
        except Exception as error:
            if guard.nowait and classify(error) is Failure.TIMEOUT:
                raise Busy(f"another transaction holds a row, and this one does not wait: {describe(error)}") from error
            raise
