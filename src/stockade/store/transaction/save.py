"""Write what a batch decided, under its guard.

Rows held from the load on (ROW) may be written in bulk and in any order; then the hot row's new version is not
visible a moment longer than the commit. Under every other guard the claims and records go first and each changed row
follows in key order, with the guard in its WHERE: two savers meet on rows in one order only.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, MetaData, Table

from stockade.core import Guard, GuardKind, Key, Row
from stockade.store.engine.dialect import Assumed, Dialect, Gate, Values, Writes
from stockade.store.schema.resource import Resource
from stockade.store.schema.tables import ledger, outbox, requests
from stockade.store.transaction.decide import Batch, Moved


class RowChanged(Exception):
    """Another writer changed a row between its read and this write."""

    def __init__(self, key: Key) -> None:
        super().__init__(f"{key} changed between the read and the write")
        self.key = key


class Unopened(Exception):
    """Rows that the batch changes are not there yet, and their resource says how to open them."""

    def __init__(self, keys: Sequence[Key]) -> None:
        super().__init__(", ".join(str(key) for key in keys))
        self.keys = keys


class Saver:
    """Writes batches. One for a store."""

    def __init__(self, dialect: Dialect, resources: Mapping[str, Resource], metadata: Sequence[MetaData]) -> None:
        self._dialect = dialect
        self._resources = resources
        # parents before children, so that a foreign key finds its row
        self._tables: dict[str, Table] = {table.name: table for each in metadata for table in each.sorted_tables}
        self._primary_keys = {
            name: [column.name for column in table.primary_key] for name, table in self._tables.items()
        }

    def unopened(self, batch: Batch) -> list[Key]:
        """The keys to `open` before this batch can be saved.

        A row that is not there locks nothing, and inserting it late would break the lock order: InnoDB then waits on
        a points row while holding the stock row.
        """
        return [
            key
            for key, moved in sorted(batch.moved.items())
            if moved.base.state is None and self._resources[key.kind].zero is not None
        ]

    def open(self, connection: Connection, keys: Sequence[Key]) -> None:
        """Insert zero rows at version 0, in key order, skipping those that are there."""
        for kind in sorted({key.kind for key in keys}):
            resource = self._resources[kind]
            zero = {**resource.zero._asdict(), "version": 0, "stamp": 0}
            rows = [{"id": key.id, **zero} for key in sorted(keys) if key.kind == kind]
            self._dialect.open_all(connection, resource.table, rows)

    def save(self, connection: Connection, batch: Batch, guard: Guard) -> Batch:
        """Write everything; the batch as it was written.

        Raises:
            RowChanged: the guard found another writer's mark; the transaction must be rolled back.
        """
        if guard.locks_rows:
            self._save_held(connection, batch)
        elif guard.kind is GuardKind.DELTA:
            batch = self._save_by_delta(connection, batch)
        else:
            self._save_compared(connection, batch, guard)
        return batch

    def save_ahead(self, connection: Connection, batch: Batch, hot: Row) -> bool | None:
        """Write the batch in one statement if the one row that it has not locked still is `hot`, once it is locked.

        False: it is another, and nothing is written. None: this batch, or this database, takes several statements.
        """
        replaced, deleted = self._overwrites(batch)
        moved = batch.moved.get(hot.key)
        if moved is None or replaced:
            return None
        resource = self._resources[hot.key.kind]
        updates = self._updates(batch)
        values = self._values(moved.row)
        updates[resource] = [each for each in updates[resource] if each["id_"] != hot.key.id]
        was = {**hot.state._asdict(), "version": hot.version, "stamp": hot.stamp}
        rest = {each: rows for each, rows in updates.items() if rows}
        gate = Gate(resource, values, was)
        return self._dialect.write_gated(connection, gate, Writes(self._inserts(batch), deleted, rest))

    def fits_one_statement(self, batch: Batch, rows: Mapping[Key, Row]) -> bool:
        """Whether `save_at_once` can write this batch, which was decided on these rows."""
        there = all(row.state is not None for row in rows.values())  # a row that is not there cannot be locked
        return there and bool(batch.requests) and not batch.replaces

    def save_at_once(
        self, connection: Connection, batch: Batch, rows: Mapping[Key, Row], further: Sequence[Assumed]
    ) -> bool:
        """Write the batch in one statement if all rows, once they are locked, are those that it was decided on.

        Args:
            connection: in no transaction: the statement is one.
            batch: one that fits.
            rows: in key order, the order in which they are locked.
            further: rows of other tables, locked last.
        """
        _, deleted = self._overwrites(batch)
        assumed = []
        for kind, keys in groupby(rows, key=lambda key: key.kind):
            resource = self._resources[kind]
            if not resource.many:
                ids = list(keys)
                moves = [self._values(batch.moved[key].row) for key in ids if key in batch.moved]
                assumed.append(Assumed(resource.table, [_as_read(rows[key]) for key in ids], moves))
        return self._dialect.write_at_once(connection, [*assumed, *further], Writes(self._inserts(batch), deleted))

    def _save_held(self, connection: Connection, batch: Batch) -> None:
        inserts = self._inserts(batch)
        updates = self._updates(batch)
        deletes = self._overwrite(connection, batch)
        self._dialect.write_all(connection, Writes(inserts, deletes, updates))

    def _overwrites(self, batch: Batch) -> tuple[dict[Table, Sequence[Values]], dict[Table, Sequence[Values]]]:
        """Records that replace others, and those to delete. Of several writes to one record of a batch (put into the
        cart, ordered, put there again) the last one counts."""
        last: dict[tuple[str, tuple[Any, ...]], tuple[Values, bool]] = {}
        for name, values, stays in batch.overwrites:
            key = tuple([values[column] for column in self._primary_keys[name]])
            last[(name, key)] = (values, stays)
        replaced: dict[Table, list[Values]] = {}
        deleted: dict[Table, list[Values]] = {}
        for (name, _), (values, stays) in last.items():
            (replaced if stays else deleted).setdefault(self._tables[name], []).append(values)
        return dict(replaced), {table: self._in_key_order(table.name, rows) for table, rows in deleted.items()}

    def _overwrite(self, connection: Connection, batch: Batch) -> dict[Table, Sequence[Values]]:
        """Write the records that replace others; the deletes that are left to do."""
        replaced, deleted = self._overwrites(batch)
        for table, records in replaced.items():
            self._dialect.replace_all(connection, table, records)
        return deleted

    def _updates(self, batch: Batch) -> dict[Resource, list[Values]]:
        """Rows to write by resource, kinds ascending: stock, the hot one, comes last."""
        updates: dict[Resource, list[Values]] = {}
        for key in sorted(batch.moved):
            moved = batch.moved[key]
            if moved.base.state is not None:
                updates.setdefault(self._resources[key.kind], []).append(self._values(moved.row))
        return updates

    def _save_compared(self, connection: Connection, batch: Batch, guard: Guard) -> None:
        """Claims and records first, then each changed row if it is still the one that was read."""
        deletes = self._overwrite(connection, batch)
        self._dialect.write_all(connection, Writes(self._inserts(batch), deletes))
        for key, moved in self._changed(batch):
            self._compare_and_set(connection, key, moved, guard.kind)

    def _save_by_delta(self, connection: Connection, batch: Batch) -> Batch:
        """Move the counters first; then the rows are held, and what is told and recorded is decided on them.

        A rule of a command may ask for more than the UPDATE's own condition (a limit, a balance to tell): if the rows
        were not as they had been read, the batch is decided again on the true ones, and has to move the same.
        """
        true: dict[Key, Row] = {}
        for key, moved in self._changed(batch):
            if not moved.only_counters:
                self._compare_and_set(connection, key, moved, GuardKind.VERSION)
                continue
            row = self._move(connection, key, moved)
            if row != moved.base:
                true[key] = row
        if true:
            batch = _decided_again(batch, true)
        deletes = self._overwrite(connection, batch)
        self._dialect.write_all(connection, Writes(self._inserts(batch), deletes))
        return batch

    @staticmethod
    def _changed(batch: Batch) -> list[tuple[Key, Moved]]:
        """Rows that exist and change, in key order."""
        return [(key, moved) for key, moved in sorted(batch.moved.items()) if moved.base.state is not None]

    def _compare_and_set(self, connection: Connection, key: Key, moved: Moved, kind: GuardKind) -> None:
        stamp = kind is GuardKind.TIMESTAMP
        by = GuardKind.TIMESTAMP if stamp else GuardKind.NONE if kind is GuardKind.NONE else GuardKind.VERSION
        values = {**self._values(moved.row), "version_": moved.base.version, "stamp_": moved.base.stamp}
        if self._dialect.update_guarded(connection, self._resources[key.kind], by, values) == 0:
            raise RowChanged(key)

    def _move(self, connection: Connection, key: Key, moved: Moved) -> Row:
        """A conditional UPDATE; the row as it was before it, which need not be the row that was read."""
        resource, base = self._resources[key.kind], moved.base
        values = {"id_": key.id, "d0": moved.delta, "d1": moved.held, "count": moved.count, "stamp": moved.row.stamp}
        after = self._dialect.update_delta(connection, resource, values)
        if after is None:
            raise RowChanged(key)
        counters = zip(resource.counters, after[1:], (moved.delta, moved.held), strict=False)
        state = base.state._replace(**{name: int(value) - by for name, value, by in counters})
        return base._replace(state=state, version=int(after[0]) - moved.count)

    def _inserts(self, batch: Batch) -> dict[Table, Sequence[Values]]:
        """All new records by table: the claims first and in order, then parents before children, ledger and outbox."""
        found: dict[Table, Sequence[Values]] = {requests: sorted(batch.requests, key=itemgetter("id"))}
        opened = self._opened(batch)
        for name, table in self._tables.items():
            rows = [*batch.inserts.get(name, ()), *opened.get(name, ())]
            if rows:
                found[table] = self._in_key_order(name, rows)
        # claims and entries in key order: of two batches that share requests, one waits for the other, never both
        found[ledger] = sorted(batch.ledger, key=itemgetter("kind", "row_id", "request_id"))
        found[outbox] = batch.outbox
        return {table: rows for table, rows in found.items() if rows}

    def _in_key_order(self, name: str, rows: list[Values]) -> list[Values]:
        """Neighbours in an index are written one after the other, and columns of several tables become equal."""
        key = self._primary_keys[name]
        return sorted(rows, key=itemgetter(*key)) if key and rows[0].keys() >= set(key) else rows

    def _opened(self, batch: Batch) -> dict[str, list[Values]]:
        """Rows that a change makes exist, in key order; their unique key is their guard."""
        opened: dict[str, list[Values]] = {}
        for key in sorted(batch.moved):
            moved = batch.moved[key]
            if moved.base.state is None:
                row = moved.row
                values = {"id": key.id, **row.state._asdict(), "version": row.version, "stamp": row.stamp}
                opened.setdefault(self._resources[key.kind].table.name, []).append(values)
        return opened

    def _values(self, row: Row) -> dict[str, Any]:
        resource = self._resources[row.key.kind]
        values: dict[str, Any] = {"id_": row.key.id}
        for name in resource.written:
            values[name] = getattr(row.state, name)
        values["version"] = row.version
        values["stamp"] = row.stamp
        return values


def _as_read(row: Row) -> dict[str, Any]:
    return {"id_": row.key.id, **row.state._asdict(), "version": row.version, "stamp": row.stamp}


def _decided_again(batch: Batch, true: Mapping[Key, Row]) -> Batch:
    """The batch as decided on the true rows; its rows have been moved already, so it must move them the same way."""
    assert batch.again is not None
    bases = {key: moved.base for key, moved in batch.moved.items()}
    anew = batch.again({**bases, **true})
    if _effects(anew) != _effects(batch):
        raise RowChanged(min(true))
    return anew


def _effects(batch: Batch) -> dict[Key, tuple[int, int, int, bool]]:
    return {key: (each.delta, each.held, each.count, each.only_counters) for key, each in batch.moved.items()}
