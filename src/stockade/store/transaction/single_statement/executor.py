"""A batch as one statement: rows are read without locks and decided on, and the statement that writes the batch first
locks them and compares; it is the whole transaction.

Between the lock of a hot row and its commit no message goes to the client and back, and the next batch's statement
waits for the row in the database already when it comes free. (Optimistic concurrency control, Kung and Robinson 1981,
validated under row locks; docs/adr/0011.) Where it cannot be done, or a row proves to be another, the batch goes the
way of `transact`. Neighbours: `transact` asks, `forecast` knows what batches in flight will leave.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import NamedTuple

from sqlalchemy import Connection

from stockade.core import Guard, GuardKind, Key, OffsetCommit, Row, merged_keys
from stockade.store.engine.backends import Run
from stockade.store.engine.database import Database
from stockade.store.engine.dialect import Assumed
from stockade.store.schema.resource import Resource
from stockade.store.schema.tables import consumer_offsets
from stockade.store.transaction.attempt import Pending
from stockade.store.transaction.decide import Batch
from stockade.store.transaction.load import load_rows
from stockade.store.transaction.save import Saver
from stockade.store.transaction.single_statement.duplicate_lookup import Repeats
from stockade.store.transaction.single_statement.speculation import Forecast, landed

SENDS_AGAIN = 2  # of a batch that came too early: at once, behind the one before; then when that one has ended

Fold = Callable[[dict[Key, Row], Mapping[str, tuple[str, bytes]]], Batch]


class Decided(NamedTuple):
    """A batch, and the rows it was decided on."""

    batch: Batch
    rows: Mapping[Key, Row]


class AtOnce:
    """Carries out batches as one statement each.

    Args:
        database: the statement goes to.
        resources: by kind.
        saver: of the store.
        forecast: of the store.
        repeats: of the store.

    Attributes:
        before_write: called right before the statement that commits; what it raises keeps the batch unwritten.
    """

    def __init__(
        self,
        database: Database,
        resources: Mapping[str, Resource],
        saver: Saver,
        forecast: Forecast,
        repeats: Repeats,
    ) -> None:
        self._database, self._resources, self._saver = database, resources, saver
        self._forecast, self._repeats = forecast, repeats
        self.before_write: Callable[[], None] = _go_on

    def may(self, pending: Pending, guard: Guard, deadline: float) -> bool:
        """Whether a batch can be tried this way at all."""
        return (
            pending.early
            and guard.kind is GuardKind.ROW
            and not guard.keep_request_order
            and not pending.extra
            and self._in_time(deadline)
        )

    async def attempt(self, pending: Pending, fold: Fold, deadline: float) -> Batch | None:
        """The batch, written; None: nothing is written.

        Raises:
            CommitLost, TimeoutError: it may be written or not.
        """
        keys = merged_keys(pending.commands)
        last = last_rows(keys)
        if not last or self._forecast.rows(last) is None:
            return None

        def begin(connection: Connection, run: Run) -> tuple[Decided | None, bool]:
            decided = self._decide(connection, pending, fold, keys, last)
            return decided, decided is not None and self._write(connection, run, pending, decided)

        decided, written = None, False
        try:
            decided, written = await self._database.alone(begin, deadline=deadline)
            if decided is not None and not written:
                written = await self._send_again(pending, decided, deadline)
        finally:
            if pending.flight.departed:
                self._forecast.trust(written)
                if not written:
                    self._forecast.take_back(pending.flight)
        return decided.batch if decided is not None and written else None

    async def _send_again(self, pending: Pending, decided: Decided, deadline: float) -> bool:
        """It may have come to its rows before the batch before it, whose place it must not take."""
        for number in range(SENDS_AGAIN):
            before = pending.flight.before
            if not before or (number == SENDS_AGAIN - 1 and not await landed(before, deadline)):
                return False
            if not self._in_time(deadline):
                return False
            if await self._database.alone(lambda c, run: self._write(c, run, pending, decided), deadline=deadline):
                return True
        return False

    def _in_time(self, deadline: float) -> bool:
        return self._database.dialect.may_write_at_once(deadline - time.monotonic())

    def _decide(
        self, connection: Connection, pending: Pending, fold: Fold, keys: Sequence[Key], last: Sequence[Key]
    ) -> Decided | None:
        """Decide on the rows as they are or are about to be; None: this batch takes more than one statement."""
        flying = self._forecast.flying(keys)
        cold = keys[: len(keys) - len(last)]
        dialect = self._database.dialect
        read = load_rows(connection, dialect, self._resources, commands=(), extra=cold, guard=Guard.NONE)
        known = self._repeats.known(connection, pending.commands)
        expected = self._forecast.rows(last)
        if expected is None:
            return None
        rows = {key: max(row, flying.get(key, row), key=attrgetter("version")) for key, row in read.items()}
        rows.update(expected)
        batch = fold(dict(rows), known)
        if not self._saver.fits_one_statement(batch, rows) or not (
            pending.source is None or pending.may_move(batch.answers)
        ):
            return None
        self._forecast.depart(pending.flight, batch, last)
        pending.tell_decided()
        return Decided(batch, rows)

    def _write(self, connection: Connection, run: Run, pending: Pending, decided: Decided) -> bool:
        self.before_write()
        run.committing = True
        moves = () if pending.source is None else sorted(pending.source.offsets)
        return self._saver.save_at_once(connection, decided.batch, decided.rows, [_moving(each) for each in moves])


def _go_on() -> None:
    """Nothing stands against the write."""


def last_rows(keys: Sequence[Key]) -> list[Key]:
    """Those of these keys, which are in order, whose rows are locked last, all by one statement."""
    return [key for key in keys if key.kind == keys[-1].kind]


def _moving(move: OffsetCommit) -> Assumed:
    key = {"topic_": move.topic, "part_": move.part}
    assumed = {**key, "epoch": move.epoch, "position": move.old}
    return Assumed(consumer_offsets, [assumed], [{**key, "position": move.new}])
