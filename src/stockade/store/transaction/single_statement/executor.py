"""A batch as one statement, which is the whole transaction.

The rows are read without locks and decided on; then the statement locks them, compares them and writes everything.

Between the lock of a hot row and its commit no message goes to the client and back, and the next batch's statement
already waits for the row in the database. Where a batch cannot run this way, or a row proves to be another, nothing is
written and the batch runs in one transaction under locks (docs/adr/0011). Neighbours: `transact` calls `tracking` and
`run`, `one_transaction` calls `observe`.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection

from stockade.core import Guard, Key, OffsetCommit, Row, merged_keys
from stockade.drivers.failures import Failure, classify
from stockade.store.engine.backends import TransactionRun
from stockade.store.engine.statement import ExpectedRows
from stockade.store.transaction.decide import BatchDecider
from stockade.store.transaction.in_flight import wait_until_ended
from stockade.store.transaction.load import load_rows
from stockade.store.transaction.pending_batch import BatchState, PendingBatch
from stockade.store.transaction.single_statement.duplicate_lookup import DuplicateLookup
from stockade.store.transaction.single_statement.speculation import Speculation
from stockade.store.transaction.steps import Steps
from stockade.store.transaction.write_set import WriteSet

RESENDS = 2  # of a statement that overtook an earlier batch: one at once, one after that batch has ended


class Decided(NamedTuple):
    """A batch, and the rows it was decided on."""

    write_set: WriteSet
    rows: Mapping[Key, Row]


class SingleStatement:
    """Carries out batches as one statement each. One for a store.

    Args:
        steps: of the store.
    """

    def __init__(self, steps: Steps) -> None:
        self._steps, self._database = steps, steps.database
        self._speculation = Speculation()
        self._duplicates = DuplicateLookup(steps.database.dialect, steps.database.tables.requests)
        self._request_ids: set[str] = set()  # of batches that have not ended

    @contextmanager
    def tracking(self, batch: PendingBatch) -> Iterator[None]:
        """Keep a batch's request ids, and its order among the batches in flight, until it has its answers."""
        ids = {command.request_id for command in batch.commands}
        if not ids.isdisjoint(self._request_ids):
            # Another batch claims the same id, so this one can only look it up once that batch has committed.
            batch.become(BatchState.LOOK_UP_IDS)
        own = ids - self._request_ids
        self._request_ids |= own
        try:
            yield
        finally:
            self._request_ids -= own
            self._speculation.complete(batch.in_flight)

    async def run(self, batch: PendingBatch, guard: Guard, deadline: float) -> WriteSet | None:
        """Carry the batch out, if that is possible.

        Args:
            batch: to carry out.
            guard: its kind is ROW.
            deadline: on the monotonic clock, in seconds.

        Returns:
            What was written. None: nothing was written, and the batches before this one on the same rows have ended.

        Raises:
            CommitUnconfirmed, TimeoutError: the batch may be written or not.
        """
        last_keys = _keys_locked_last(merged_keys(batch.commands, batch.extra_keys))
        if self._is_possible(batch, guard, last_keys, deadline):
            try:
                write_set = await self._run(batch, guard, last_keys, deadline)
            except Exception as error:
                if classify(error) is Failure.DUPLICATE:
                    self._duplicates.saw_duplicate()
                raise
            if write_set is not None:
                return write_set
        if self._speculation.any_in_flight:
            await wait_until_ended(self._speculation.earlier_than(batch.in_flight, last_keys), deadline)
        return None

    def observe(self, rows: Mapping[Key, Row], write_set: WriteSet) -> None:
        """Learn from a batch that was decided on rows under their locks."""
        self._speculation.compare(_keys_locked_last(sorted(rows)), rows)
        self._speculation.record(write_set)
        if write_set.replays:
            self._duplicates.saw_duplicate()

    def _is_possible(self, batch: PendingBatch, guard: Guard, last_keys: Sequence[Key], deadline: float) -> bool:
        return (
            batch.state is BatchState.NEW
            and batch.is_whole_call
            and not guard.keep_request_order
            and self._in_time(deadline)
            and bool(last_keys)
            and self._speculation.expected_rows(last_keys) is not None
        )

    def _in_time(self, deadline: float) -> bool:
        return self._database.dialect.bounds_waits_within(deadline - time.monotonic())

    async def _run(
        self, batch: PendingBatch, guard: Guard, last_keys: Sequence[Key], deadline: float
    ) -> WriteSet | None:
        def body(connection: Connection, run: TransactionRun) -> tuple[Decided | None, bool]:
            decided = self._decide(connection, batch, guard, last_keys)
            return decided, decided is not None and self._write(connection, run, batch, decided)

        decided, written = None, False
        try:
            decided, written = await self._database.autocommit(body, deadline=deadline)
            if decided is not None and not written:
                written = await self._send_again(batch, decided, deadline)
        finally:
            if batch.in_flight.registered:
                self._speculation.trust(written)
                if not written:
                    self._speculation.forget_pending_rows(batch.in_flight)
        return decided.write_set if decided is not None and written else None

    def _decide(
        self, connection: Connection, batch: PendingBatch, guard: Guard, last_keys: Sequence[Key]
    ) -> Decided | None:
        """Decide on the rows as they are, or are about to be; None: this batch needs more than one statement."""
        keys = merged_keys(batch.commands)
        pending = self._speculation.pending_rows(keys)  # before the read, in which a batch may end
        cold_keys = keys[: len(keys) - len(last_keys)]
        read = load_rows(connection, self._database.dialect, self._steps.resources, cold_keys, lock=False)
        recorded = self._duplicates.recorded(connection, batch.commands)
        expected = self._speculation.expected_rows(last_keys)
        if expected is None:
            return None
        rows = {key: max(row, pending.get(key, row), key=attrgetter("version")) for key, row in read.items()}
        rows.update(expected)
        decider = BatchDecider(self._steps.resources, self._steps.tables, guard.bare_clock)
        write_set = decider.decide(batch.commands, dict(rows), recorded)
        if not fits_single_statement(write_set, rows):
            return None
        if batch.offsets is not None and not batch.may_commit_offsets(write_set.answers):
            return None
        self._speculation.register(batch.in_flight, write_set, last_keys)
        batch.report_decided()
        return Decided(write_set, rows)

    def _write(self, connection: Connection, run: TransactionRun, batch: PendingBatch, decided: Decided) -> bool:
        """Send the statement; False: a row is another than expected, and nothing is written."""
        if self._steps.permit is not None:
            self._steps.permit.check_lease()
        run.committing = True
        commits = () if batch.offsets is None else sorted(batch.offsets.commits)
        expected = [*self._expected(decided), *(self._expected_offset(commit) for commit in commits)]
        writes = self._steps.saver.writes(decided.write_set)
        return self._database.dialect.write_if_unchanged(connection, expected, writes)

    def _expected(self, decided: Decided) -> Iterator[ExpectedRows]:
        """The rows that are locked and compared, in key order; children of a row never change and are left out."""
        updates = decided.write_set.updates
        for kind, group in groupby(decided.rows, key=lambda key: key.kind):
            resource = self._steps.resources[kind]
            if not resource.many:
                keys = list(group)
                changes = [self._steps.saver.row_values(updates[key].after) for key in keys if key in updates]
                yield ExpectedRows(resource.table, [as_read(decided.rows[key]) for key in keys], changes)

    def _expected_offset(self, commit: OffsetCommit) -> ExpectedRows:
        key = {"topic_": commit.topic, "part_": commit.part}
        expected = {**key, "epoch": commit.epoch, "position": commit.old}
        return ExpectedRows(self._database.tables.consumer_offsets, [expected], [{**key, "position": commit.new}])

    async def _send_again(self, batch: PendingBatch, decided: Decided, deadline: float) -> bool:
        """Send a statement again that may have overtaken an earlier batch; whether it was written."""
        for number in range(RESENDS):
            earlier = batch.in_flight.earlier
            if not earlier or (number == RESENDS - 1 and not await wait_until_ended(earlier, deadline)):
                return False
            if not self._in_time(deadline):
                return False
            if await self._database.autocommit(lambda c, run: self._write(c, run, batch, decided), deadline=deadline):
                return True
        return False


def fits_single_statement(write_set: WriteSet, rows: Mapping[Key, Row]) -> bool:
    """Whether one statement can write this batch, which was decided on these rows."""
    exist = all(row.state is not None for row in rows.values())  # a row that does not exist cannot be locked
    return exist and bool(write_set.requests) and not write_set.replaces_records


def as_read(row: Row) -> dict[str, Any]:
    """Every column of a row that was read, with its key as `id_`."""
    return {"id_": row.key.id, **row.state._asdict(), "version": row.version, "stamp": row.stamp}


def _keys_locked_last(keys: Sequence[Key]) -> list[Key]:
    """The keys of the last kind. Their rows are locked last, all by one statement, so batches meet at these rows."""
    return [key for key in keys if key.kind == keys[-1].kind]
