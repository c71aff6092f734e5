"""Reads what the database contains after a repeat, of that repeat's rows and requests only.

Plain reads on the read pool, after the load has ended. Neighbours: `model/repeat_result.py` defines the values, the
files of `checks/` judge them.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, select

from stockade.core import Key
from stockade.lab.model.burst import Burst
from stockade.lab.model.repeat_result import LedgerEntry, RowAmounts, Snapshot
from stockade.service import Application
from stockade.service.audit.counters import counter_columns
from stockade.shop.application import APPLICATION
from stockade.shop.model.tables import orders
from stockade.store.id_chunks import id_chunks
from stockade.store.outcome_codec import decode_outcome
from stockade.store.schema.resource import Resource
from stockade.store.schema.tables import StoreTables


def read_snapshot(connection: Connection, workload: Burst, application: Application = APPLICATION) -> Snapshot:
    """Read everything the checks need."""
    resources = {resource.kind: resource for resource in application.resources}
    keys = sorted({*workload.counted_rows, *workload.other_rows})
    ids = sorted({command.request_id for command in workload.orders})
    rows: dict[Key, RowAmounts] = {}
    entries: list[LedgerEntry] = []
    for kind, group in groupby(keys, key=lambda key: key.kind):
        row_ids = [key.id for key in group]
        rows.update(_rows(connection, resources[kind], row_ids))
        entries += _entries(connection, application.tables, kind, row_ids)
    has_orders = orders in application.schema.tables
    found = _in_chunks(connection, select(orders.c.id), orders.c.id, ids) if has_orders else ()
    requests = application.tables.requests
    recorded = _in_chunks(connection, select(requests.c.id, requests.c.outcome), requests.c.id, ids)
    outcomes = {row.id: decode_outcome(bytes(row.outcome)) for row in recorded}
    ordered = tuple(sorted(entries, key=lambda entry: (entry.key, entry.version)))
    return Snapshot(rows, ordered, frozenset(row.id for row in found), outcomes)


def _rows(connection: Connection, resource: Resource, ids: Sequence[str]) -> Iterator[tuple[Key, RowAmounts]]:
    table = resource.table
    amount, held = counter_columns(resource)
    query = select(table.c.id, amount.label("amount"), held.label("held"), table.c.version)
    for row in _in_chunks(connection, query, table.c.id, ids):
        yield Key(resource.kind, row.id), RowAmounts(row.amount, row.held, row.version)


def _entries(connection: Connection, tables: StoreTables, kind: str, ids: Sequence[str]) -> Iterator[LedgerEntry]:
    ledger = tables.ledger
    for row in _in_chunks(connection, select(ledger).where(ledger.c.kind == kind), ledger.c.row_id, ids):
        yield LedgerEntry(
            Key(kind, row.row_id),
            row.request_id,
            row.version,
            row.delta,
            row.held,
            row.amount_after,
            row.held_after,
        )


def _in_chunks(connection: Connection, query: Any, column: Any, ids: Sequence[str]) -> Iterable[Any]:
    for chunk in id_chunks(ids):
        yield from connection.execute(query.where(column.in_(chunk)))
