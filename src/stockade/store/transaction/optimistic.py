"""The executor of a batch whose rows are read without locks and compared at the write.

It serves NONE, VERSION, TIMESTAMP and DELTA: the strategies `optimistic`, `conditional`, `unprotected`,
`in-process` and those with a lock server. Neighbours: `transact` chooses it, `steps` has the steps, `save` compares.

A refusal that rests on rows of several kinds is confirmed before it is recorded, as each kind is a read of its own.
An accepted command is safe without this: its write compares the versions that it read. A refusal writes no row, so it
could name a state that never existed, with an old balance beside a new stock. Rows that are the same in two reads, one
after the other, were all so at one moment in between: a double collect (Afek, Attiya, Dolev, Gafni, Merritt and Shavit,
"Atomic snapshots of shared memory", 1993).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from sqlalchemy import Connection

from stockade.core import Guard, GuardKind, Key, Rejected, Row, merged_keys
from stockade.store.transaction.pending_batch import PendingBatch
from stockade.store.transaction.save import RowChanged
from stockade.store.transaction.steps import Steps
from stockade.store.transaction.write_set import WriteSet

OPTIMISTIC = frozenset({GuardKind.NONE, GuardKind.VERSION, GuardKind.TIMESTAMP, GuardKind.DELTA})
Load = Callable[[Sequence[Key]], Mapping[Key, Row]]


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
            if doubtful := _rows_of_refusals(batch, write_set, guard):
                _confirm(doubtful, rows, write_set, partial(self._steps.read_again, connection))
            if not write_set.replaces_records:
                batch.report_decided()
            return self._steps.write(connection, batch, write_set, guard)

        return await self._steps.database.transaction(body, deadline=deadline)

    async def _run_apart(self, batch: PendingBatch, guard: Guard, deadline: float) -> WriteSet:
        database = self._steps.database
        async with database.reserve_slot(deadline):
            rows, recorded = await database.read(
                lambda c: self._steps.load(c, batch, guard), timeout_s=math.inf, deadline=deadline
            )
            write_set = self._steps.decide(batch, guard, rows, recorded)
            if doubtful := _rows_of_refusals(batch, write_set, guard):
                await database.read(
                    lambda c: _confirm(doubtful, rows, write_set, partial(self._steps.read_again, c)),
                    timeout_s=math.inf,
                    deadline=deadline,
                )
            if not write_set.requests and batch.offsets is None:
                return write_set
            return await database.transaction(
                lambda c: self._steps.write(c, batch, write_set, guard), deadline=deadline
            )


def _rows_of_refusals(batch: PendingBatch, write_set: WriteSet, guard: Guard) -> list[Key]:
    """The rows on which a batch refuses commands, where they took several reads; in the global order.

    Args:
        batch: that was decided.
        write_set: its decisions.
        guard: NONE compares nothing, so it confirms nothing.
    """
    if guard.kind is GuardKind.NONE:
        return []
    refused = [
        command
        for command, answer in zip(batch.commands, write_set.answers, strict=True)
        if isinstance(answer, Rejected) and not answer.replayed
    ]
    keys = merged_keys(refused, batch.extra_keys) if refused else []
    return keys if len({key.kind for key in keys}) > 1 else []


def _confirm(
    keys: Sequence[Key],
    rows: Mapping[Key, Row],
    write_set: WriteSet,
    load: Load,
) -> None:
    """Read these rows again and compare their versions.

    Args:
        keys: see `_rows_of_refusals`.
        rows: as the batch leaves them.
        write_set: knows the rows that the batch changes as they were before.
        load: reads rows without locks.

    Raises:
        RowChanged: another writer changed one of them since it was read.
    """
    again = load(keys)
    for key in keys:
        update = write_set.updates.get(key)
        before = update.before if update is not None else rows[key]
        if again[key].version != before.version:
            raise RowChanged(key)
