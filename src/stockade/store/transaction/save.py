"""Write what a batch decided, under its guard.

- ROW: the rows were locked at the load; records and rows are written in bulk.
- DELTA: the rows come first, in key order, each counter moved by a conditional UPDATE; the records follow.
- Other guards: the records come first; each row follows in key order, with the guard in its WHERE clause.

So two transactions meet on rows in one order only.
Neighbours: `steps` calls it, the dialect of the database has the statements.
"""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Table

from stockade.core import Guard, GuardKind, Key, Row
from stockade.store.engine.dialect import Dialect
from stockade.store.engine.expressions import steady_fields
from stockade.store.engine.statement import Values, Writes
from stockade.store.schema.known_tables import KnownTables
from stockade.store.schema.resource import Resource
from stockade.store.schema.tables import StoreTables
from stockade.store.transaction.write_set import RowUpdate, WriteSet


class RowChanged(Exception):
    """Another writer changed a row between its read and this write."""

    def __init__(self, key: Key) -> None:
        super().__init__(f"{key} changed between the read and the write")
        self.key = key


class RowsToInsert(Exception):
    """Rows that the batch changes do not exist: `ensure_rows` must insert the `zero` of their resources first."""

    def __init__(self, keys: Sequence[Key]) -> None:
        super().__init__(", ".join(str(key) for key in keys))
        self.keys = keys


class Saver:
    """Writes batches. One for a store.

    Args:
        dialect: of its database.
        resources: by kind.
        own: the store's own tables.
        tables: those that commands write, parents before children, so that a foreign key finds its row.
    """

    def __init__(
        self, dialect: Dialect, resources: Mapping[str, Resource], own: StoreTables, tables: KnownTables
    ) -> None:
        self._dialect = dialect
        self._resources = resources
        self._own = own
        self._tables = {table.name: table for table in tables.in_order}
        self._primary_keys = tables.primary_keys

    def check_rows_exist(self, write_set: WriteSet) -> None:
        """Refuse a batch whose rows have to be inserted by `ensure_rows` first.

        A row that does not exist cannot be locked. Inserting it here would break the order of locks: InnoDB would wait
        for a points row while it holds the stock row.

        Raises:
            RowsToInsert: with the keys of those rows.
        """
        keys = [
            key
            for key, update in sorted(write_set.updates.items())
            if update.before.state is None and self._resources[key.kind].zero is not None
        ]
        if keys:
            raise RowsToInsert(keys)

    def ensure_rows(self, connection: Connection, keys: Sequence[Key]) -> None:
        """Insert zero rows at version 0, in key order, and skip those that exist."""
        for kind in sorted({key.kind for key in keys}):
            resource = self._resources[kind]
            zero = {**resource.zero._asdict(), "version": 0, "stamp": 0}
            rows = [{"id": key.id, **zero} for key in sorted(keys) if key.kind == kind]
            self._dialect.insert_missing(connection, resource.table, rows)

    def save(self, connection: Connection, write_set: WriteSet, guard: Guard) -> WriteSet:
        """Write everything; the write set as it was written, which under DELTA may be another.

        Raises:
            RowChanged: another writer changed a row after it was read; the transaction must be rolled back.
        """
        if guard.kind is GuardKind.ROW:
            self._save_locked(connection, write_set)
        elif guard.kind is GuardKind.DELTA:
            write_set = self._save_by_delta(connection, write_set)
        else:
            self._save_compared(connection, write_set, guard)
        return write_set

    def writes(self, write_set: WriteSet) -> Writes:
        """The new and the deleted records, in the order in which they are written; no rows to update."""
        _, deleted = self._overwrites(write_set)
        return Writes(self._inserts(write_set), deleted)

    def row_values(self, row: Row) -> dict[str, Any]:
        """The columns of a row to write, and its key as `id_`."""
        resource = self._resources[row.key.kind]
        values: dict[str, Any] = {"id_": row.key.id}
        for name in resource.written:
            values[name] = getattr(row.state, name)
        values["version"] = row.version
        values["stamp"] = row.stamp
        return values

    def _save_locked(self, connection: Connection, write_set: WriteSet) -> None:
        inserts = self._inserts(write_set)
        updates = self._updates(write_set)
        deletes = self._replace_records(connection, write_set)
        self._dialect.write_all(connection, Writes(inserts, deletes, updates))

    def _overwrites(self, write_set: WriteSet) -> tuple[dict[Table, Sequence[Values]], dict[Table, Sequence[Values]]]:
        """Records that replace others, and records to delete. Of several writes to one record (put into the cart,
        ordered, put there again) the last one counts."""
        last: dict[tuple[str, tuple[Any, ...]], tuple[Values, bool]] = {}
        for name, values, replaces in write_set.overwrites:
            key = tuple([values[column] for column in self._primary_keys[name]])
            last[(name, key)] = (values, replaces)
        replaced: dict[Table, list[Values]] = {}
        deleted: dict[Table, list[Values]] = {}
        for (name, _), (values, replaces) in last.items():
            (replaced if replaces else deleted).setdefault(self._tables[name], []).append(values)
        return dict(replaced), {table: self._in_key_order(table.name, rows) for table, rows in deleted.items()}

    def _replace_records(self, connection: Connection, write_set: WriteSet) -> dict[Table, Sequence[Values]]:
        """Write the records that replace others; returns the records that are still to be deleted."""
        replaced, deleted = self._overwrites(write_set)
        for table, records in replaced.items():
            self._dialect.replace_all(connection, table, records)
        return deleted

    def _updates(self, write_set: WriteSet) -> dict[Resource, list[Values]]:
        """Rows to write by resource, kinds ascending."""
        updates: dict[Resource, list[Values]] = {}
        for key in sorted(write_set.updates):
            update = write_set.updates[key]
            if update.before.state is not None:
                updates.setdefault(self._resources[key.kind], []).append(self.row_values(update.after))
        return updates

    def _save_compared(self, connection: Connection, write_set: WriteSet, guard: Guard) -> None:
        """Claims and records first, then each changed row if it is still the one that was read."""
        deletes = self._replace_records(connection, write_set)
        self._dialect.write_all(connection, Writes(self._inserts(write_set), deletes))
        for key, update in self._changed(write_set):
            self._compare_and_set(connection, key, update, guard.kind)

    def _save_by_delta(self, connection: Connection, write_set: WriteSet) -> WriteSet:
        """Move the counters first, which locks the rows; then write what follows from their values.

        A command may have more rules than the condition of the UPDATE (a limit, say). So if a row was not as it had
        been read, the batch is decided again on the true rows, and must move the counters by the same amounts.
        """
        true: dict[Key, Row] = {}
        for key, update in self._changed(write_set):
            if not update.only_counters:
                self._compare_and_set(connection, key, update, GuardKind.VERSION)
                continue
            row = self._move(connection, key, update)
            if row != update.before:
                true[key] = row
        if true:
            write_set = _decide_again(write_set, true)
        deletes = self._replace_records(connection, write_set)
        self._dialect.write_all(connection, Writes(self._inserts(write_set), deletes))
        return write_set

    @staticmethod
    def _changed(write_set: WriteSet) -> list[tuple[Key, RowUpdate]]:
        """Rows that exist and change, in key order."""
        return [(key, update) for key, update in sorted(write_set.updates.items()) if update.before.state is not None]

    def _compare_and_set(self, connection: Connection, key: Key, update: RowUpdate, kind: GuardKind) -> None:
        stamp = kind is GuardKind.TIMESTAMP
        by = GuardKind.TIMESTAMP if stamp else GuardKind.NONE if kind is GuardKind.NONE else GuardKind.VERSION
        values = {**self.row_values(update.after), "version_": update.before.version, "stamp_": update.before.stamp}
        if self._dialect.update_guarded(connection, self._resources[key.kind], by, values) == 0:
            raise RowChanged(key)

    def _move(self, connection: Connection, key: Key, update: RowUpdate) -> Row:
        """A conditional UPDATE; returns the row as it was before it, which need not be the row that was read."""
        resource, base = self._resources[key.kind], update.before
        values = {
            "id_": key.id,
            "d0": update.delta,
            "d1": update.held,
            "count": update.count,
            "stamp": update.after.stamp,
            **{f"{name}_": getattr(base.state, name) for name in steady_fields(resource)},
        }
        after = self._dialect.update_delta(connection, resource, values)
        if after is None:
            raise RowChanged(key)
        counters = zip(resource.counters, after[1:], (update.delta, update.held), strict=False)
        state = base.state._replace(**{name: int(value) - by for name, value, by in counters})
        return base._replace(state=state, version=int(after[0]) - update.count)

    def _inserts(self, write_set: WriteSet) -> dict[Table, Sequence[Values]]:
        """New records by table: the request ids first and in order, then parents before children, ledger and outbox."""
        found: dict[Table, Sequence[Values]] = {self._own.requests: sorted(write_set.requests, key=itemgetter("id"))}
        new_rows = self._new_rows(write_set)
        for name, table in self._tables.items():
            rows = [*write_set.inserts.get(name, ()), *new_rows.get(name, ())]
            if rows:
                found[table] = self._in_key_order(name, rows)
        # request ids and entries in key order: of two batches that share requests, one waits for the other, never both
        found[self._own.ledger] = sorted(write_set.ledger, key=itemgetter("kind", "row_id", "request_id"))
        found[self._own.outbox] = write_set.outbox
        return {table: rows for table, rows in found.items() if rows}

    def _in_key_order(self, name: str, rows: list[Values]) -> list[Values]:
        """Sort by primary key: neighbours in the index are written one after the other."""
        key = self._primary_keys[name]
        return sorted(rows, key=itemgetter(*key)) if key and rows[0].keys() >= set(key) else rows

    def _new_rows(self, write_set: WriteSet) -> dict[str, list[Values]]:
        """Rows that a change creates, in key order; their unique key is their guard."""
        new_rows: dict[str, list[Values]] = {}
        for key in sorted(write_set.updates):
            update = write_set.updates[key]
            if update.before.state is None:
                row = update.after
                values = {"id": key.id, **row.state._asdict(), "version": row.version, "stamp": row.stamp}
                new_rows.setdefault(self._resources[key.kind].table.name, []).append(values)
        return new_rows


def _decide_again(write_set: WriteSet, true: Mapping[Key, Row]) -> WriteSet:
    """Decide on the true rows. The counters have been moved already, so the new decision must move them equally.

    Raises:
        RowChanged: it does not.
    """
    assert write_set.decide_again is not None
    loaded = {key: update.before for key, update in write_set.updates.items()}
    anew = write_set.decide_again({**loaded, **true})
    if _effects(anew) != _effects(write_set):
        raise RowChanged(min(true))
    return anew


def _effects(write_set: WriteSet) -> dict[Key, tuple[int, int, int, bool]]:
    return {key: (each.delta, each.held, each.count, each.only_counters) for key, each in write_set.updates.items()}
