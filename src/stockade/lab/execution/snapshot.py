"""Collects what the database holds after a repeat, of that repeat's rows and requests only.

Plain reads on the read pool, after the load has ended. Neighbours: `trial` defines the values, `checks/` judge them.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, select

from stockade.core import Key
from stockade.lab.execution.repeat_result import Amounts, Entry, Evidence
from stockade.lab.preset import Scene
from stockade.shop.model.resources import SHOP_RESOURCES
from stockade.shop.model.tables import orders
from stockade.store.schema.resource import Resource
from stockade.store.schema.tables import ledger, requests
from stockade.store.transaction.codec import decode_outcome

CHUNK = 500  # ids in one statement: below the smallest limit of any database
_RESOURCES = {resource.kind: resource for resource in SHOP_RESOURCES}


def collect(connection: Connection, scene: Scene) -> Evidence:
    """Read everything the checks need."""
    keys = sorted({*scene.subjects, *scene.others})
    ids = sorted({command.request_id for command in scene.orders})
    rows: dict[Key, Amounts] = {}
    entries: list[Entry] = []
    for kind, group in groupby(keys, key=lambda key: key.kind):
        names = [key.id for key in group]
        rows.update(_rows(connection, _RESOURCES[kind], names))
        entries += _entries(connection, kind, names)
    made = [row.id for row in _in_chunks(connection, select(orders.c.id), orders.c.id, ids)]
    asked = _in_chunks(connection, select(requests.c.id, requests.c.outcome), requests.c.id, ids)
    kept = {row.id: decode_outcome(bytes(row.outcome)) for row in asked}
    return Evidence(rows, tuple(sorted(entries, key=lambda e: (e.key, e.version))), frozenset(made), kept)


def _rows(connection: Connection, resource: Resource, ids: Sequence[str]) -> Iterator[tuple[Key, Amounts]]:
    table = resource.table
    amount, held = (table.c[name] for name in resource.counters)
    query = select(table.c.id, amount.label("amount"), held.label("held"), table.c.version)
    for row in _in_chunks(connection, query, table.c.id, ids):
        yield Key(resource.kind, row.id), Amounts(row.amount, row.held, row.version)


def _entries(connection: Connection, kind: str, ids: Sequence[str]) -> Iterator[Entry]:
    for row in _in_chunks(connection, select(ledger).where(ledger.c.kind == kind), ledger.c.row_id, ids):
        yield Entry(
            Key(kind, row.row_id),
            row.request_id,
            row.version,
            row.delta,
            row.held,
            row.amount_after,
            row.held_after,
        )


def _in_chunks(connection: Connection, query: Any, column: Any, ids: Sequence[str]) -> Iterable[Any]:
    for at in range(0, len(ids), CHUNK):
        yield from connection.execute(query.where(column.in_(ids[at : at + CHUNK])))
