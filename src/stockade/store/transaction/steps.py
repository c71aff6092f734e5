"""The steps that every transaction of the store consists of: load, decide, write.

Neighbours: `one_transaction` and `optimistic` call them in this order, `single_statement` uses the parts;
`store.registration` is the permission to write.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection

from stockade.core import Guard, GuardKind, Key, Row, merged_keys
from stockade.store.consumer_offsets import move_offsets
from stockade.store.engine.database import Database
from stockade.store.engine.dialect import Dialect
from stockade.store.schema.known_tables import KnownTables
from stockade.store.schema.resource import Resource
from stockade.store.transaction.decide import BatchDecider, Recorded
from stockade.store.transaction.load import install_fences, load_in_request_order, load_rows, recorded_requests
from stockade.store.transaction.pending_batch import PendingBatch
from stockade.store.transaction.save import Saver
from stockade.store.transaction.write_set import WriteSet


class WritePermit(Protocol):
    """The permission of this process to write.

    Each method raises Busy (code NOT_READY or DEPENDENCY_DOWN) if it cannot be confirmed; nothing may be written then.
    """

    async def confirm(self, deadline: float) -> None:
        """Before the first attempt: renew the permission if it may be over.

        Args:
            deadline: on the monotonic clock, in seconds.
        """
        ...

    def lock_row(self, connection: Connection, dialect: Dialect) -> None:
        """In a transaction that is about to write: keep the permission until the transaction ends, where necessary."""
        ...

    def check_lease(self) -> None:
        """Right before the commit: check the permission by the clock, without a message to the database."""
        ...


@dataclass
class Steps:
    """The steps over one database.

    Attributes:
        database: open.
        resources: by kind.
        tables: all that the store knows.
        saver: writes.
        permit: see `WritePermit`; None: this process may always write.
        checkpoint: see `SqlStore`.
    """

    database: Database
    resources: Mapping[str, Resource]
    tables: KnownTables
    saver: Saver
    permit: WritePermit | None
    checkpoint: Callable[[str], None] | None

    def load(self, connection: Connection, batch: PendingBatch, guard: Guard) -> tuple[dict[Key, Row], Recorded]:
        """The rows of a batch, locked under ROW, and those of its requests that are recorded."""
        dialect, commands = self.database.dialect, batch.commands
        if guard.kind is GuardKind.FENCE:
            install_fences(connection, dialect, self.resources, guard)
        if guard.keep_request_order:
            rows = load_in_request_order(connection, dialect, self.resources, commands, nowait=guard.nowait)
        else:
            keys = merged_keys(commands, batch.extra_keys)
            lock = guard.kind is GuardKind.ROW
            rows = load_rows(connection, dialect, self.resources, keys, lock=lock, nowait=guard.nowait)
        # After the locks: a repeated request has waited there for the commit of the first one.
        recorded = (
            recorded_requests(connection, dialect, self.database.tables.requests, commands)
            if batch.looks_up_ids
            else {}
        )
        self.reach("loaded")
        return rows, recorded

    def read_again(self, connection: Connection, keys: Sequence[Key]) -> dict[Key, Row]:
        """The rows as they are now, without locks."""
        return load_rows(connection, self.database.dialect, self.resources, keys, lock=False)

    def decide(self, batch: PendingBatch, guard: Guard, rows: dict[Key, Row], recorded: Recorded) -> WriteSet:
        """Decide the batch; `rows` are updated in place.

        Raises:
            RowsToInsert: rows that it changes have to be inserted first.
        """
        decider = BatchDecider(self.resources, self.tables, guard.bare_clock)
        write_set = decider.decide(batch.commands, rows, recorded)
        self.saver.check_rows_exist(write_set)
        return write_set

    def write(self, connection: Connection, batch: PendingBatch, write_set: WriteSet, guard: Guard) -> WriteSet:
        """Move the offsets and write everything, in a transaction; the write set as it was written.

        Raises:
            StaleOffset: another reader has a partition.
            RowChanged: another writer changed a row after it was read.
            Busy: this process may not write any more.
        """
        if batch.offsets is not None:
            move = batch.may_commit_offsets(write_set.answers)
            move_offsets(connection, self.database.tables, batch.offsets.commits, move=move)
        if self.permit is not None:
            self.permit.lock_row(connection, self.database.dialect)
        if write_set.requests:
            write_set = self.saver.save(connection, write_set, guard)
        self.reach("saved")
        if self.permit is not None:
            self.permit.check_lease()
        return write_set

    def reach(self, point: str) -> None:
        """Call the checkpoint, if there is one."""
        if self.checkpoint is not None:
            self.checkpoint(point)
