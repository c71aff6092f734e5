"""Load the rows of a batch in the one global order of locks, locked where the guard says so.

Neighbours: `steps` and `single_statement` call it; the database's dialect has the statements.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Table

from stockade.core import Command, FenceRefused, Guard, GuardKind, Key, NotSupported, Row
from stockade.store.engine.dialect import Dialect
from stockade.store.schema.resource import Resource
from stockade.store.transaction.validation import UnknownKind


def load_rows(
    connection: Connection,
    dialect: Dialect,
    resources: Mapping[str, Resource],
    keys: Sequence[Key],
    *,
    lock: bool,
    nowait: bool = False,
) -> dict[Key, Row]:
    """Load rows; a key without a row gets a Row without state, at version 0.

    With `lock` every row is locked by a statement of its kind, kinds and ids ascending, so two batches can never wait
    for each other in a circle. The value read is the one after the lock was granted.

    Args:
        connection: in a transaction, if the rows are locked.
        dialect: of its database.
        resources: by kind.
        keys: in the order of `merged_keys`.
        lock: whether to lock them for writing.
        nowait: a row that another transaction holds is an error of the driver at once.

    Raises:
        UnknownKind: a key has a kind without a resource.
    """
    rows: dict[Key, Row] = {}
    kinds = [(_resource(resources, kind), list(group)) for kind, group in groupby(keys, key=lambda key: key.kind)]
    # Children are read last, and without locks: they are inserted with their row and never change, so whoever has read
    # the row reads them too. Read before it, they could be missing although the row is there.
    for resource, wanted in sorted(kinds, key=lambda each: each[0].many):
        found = dialect.load(connection, resource, [key.id for key in wanted], lock, nowait=nowait)
        rows.update(_rows(resource, wanted, found))
    return rows


def load_in_request_order(
    connection: Connection,
    dialect: Dialect,
    resources: Mapping[str, Resource],
    commands: Sequence[Command],
    *,
    nowait: bool = False,
) -> dict[Key, Row]:
    """Lock one row after the other as the commands name them: only for experiments with deadlocks."""
    rows: dict[Key, Row] = {}
    for command in commands:
        for key in command.keys:
            if key not in rows:
                resource = _resource(resources, key.kind)
                found = dialect.load(connection, resource, [key.id], lock=True, nowait=nowait)
                rows.update(_rows(resource, [key], found))
    return rows


def recorded_requests(
    connection: Connection, dialect: Dialect, requests: Table, commands: Sequence[Command]
) -> dict[str, tuple[str, bytes]]:
    """The request ids of a batch that are recorded in this table: request id -> (fingerprint, encoded outcome)."""
    found = dialect.known_requests(connection, requests, sorted({command.request_id for command in commands}))
    return {id_: (fingerprint, outcome) for id_, fingerprint, outcome in found}


def install_fences(connection: Connection, dialect: Dialect, resources: Mapping[str, Resource], guard: Guard) -> None:
    """Write every fencing token of a guard, in key order; this locks the rows.

    It has to come before the first read. A token that is compared only at the write still loses updates, because the
    late holder may write before the newer holder's first write. Children of a row are never changed, so they have none.

    Raises:
        FenceRefused: a row has seen a newer token.
        NotSupported: a table has no columns for fences.
    """
    assert guard.kind is GuardKind.FENCE
    for key, (token, owner) in sorted(guard.fences.items()):
        resource = _resource(resources, key.kind)
        if resource.many:
            continue
        if "fence" not in resource.table.c:
            raise NotSupported(f"table {resource.table.name} has no columns fence and fence_owner to guard {key} with")
        stored = dialect.install_fence(connection, resource, {"id_": key.id, "token": token, "owner": owner})
        if stored is not None:
            raise FenceRefused(str(key), stored)


def _resource(resources: Mapping[str, Resource], kind: str) -> Resource:
    try:
        return resources[kind]
    except KeyError:
        known = ", ".join(sorted(resources))
        raise UnknownKind(f"no resource for keys of kind {kind!r}; this store has: {known}") from None


def _rows(resource: Resource, keys: Sequence[Key], found: Sequence[Any]) -> dict[Key, Row]:
    rows = {key: Row(key, None, 0) for key in keys}
    state, kind = resource.state, resource.kind
    if resource.many:
        children: dict[str, list[Any]] = {}
        for record in found:
            children.setdefault(record[0], []).append(state._make(record[1:]))
        for id_, states in children.items():
            key = Key(kind, id_)
            rows[key] = Row(key, tuple(states), 1)
        return rows
    for record in found:
        key = Key(kind, record[0])
        rows[key] = Row(key, state._make(record[1:-2]), record[-2], record[-1])
    return rows
