"""The statements of the store on a simulated server: what each one locks, compares and writes.

They take locks in the order in which PostgreSQL's do, and compare on the newest record once they have its lock.
Neighbours: `dialect.py` sends them, `server.py` carries them out.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache

from sqlalchemy import Table

from stockade.core import GuardKind
from stockade.lab.simulation.database.server import DUPLICATE, TIMEOUT, ServerError, Session, Statement
from stockade.lab.simulation.database.tables import Record, SimulatedTable
from stockade.store.engine.expressions import steady_fields
from stockade.store.engine.statement import ExpectedRows, Values, Writes
from stockade.store.schema.resource import Resource


def _table(session: Session, name: str) -> SimulatedTable:
    return session.server.tables[name]


@lru_cache(maxsize=64)
def _columns(resource: Resource) -> tuple[str, ...]:
    if resource.many:
        return (resource.parent, *resource.state._fields)
    return ("id", *resource.state._fields, "version", "stamp")


def load(session: Session, resource: Resource, ids: Sequence[str], *, lock: bool, nowait: bool) -> Statement:
    """Rows (id, fields…, version, stamp) in id order, or children of parents; with `lock` locked in that order."""
    table, columns = _table(session, resource.table.name), _columns(resource)
    found: list[Record] = []
    if resource.many:
        wanted = set(ids)
        keys = sorted(table.versions)
        records = [record for key in keys if (record := session.read(table, key)) is not None]
        found = [record for record in records if record[resource.parent] in wanted]
    else:
        for id_ in sorted({*ids}):
            record = session.read(table, (id_,))
            if record is not None and lock:
                if nowait and session.server.owner((table.name, (id_,))) not in (None, session):
                    raise ServerError(TIMEOUT, "could not obtain lock on row")
                yield from session.lock((table.name, (id_,)))
                record = session.newest(table, (id_,))
            if record is not None:
                found.append(record)
    return [tuple([record[name] for name in columns]) for record in found]


def known_requests(session: Session, requests: Table, ids: Iterable[str]) -> Statement:
    """(id, fingerprint, outcome) of the request ids that are recorded."""
    table = _table(session, requests.name)
    found = [record for id_ in {*ids} if (record := session.read(table, (id_,))) is not None]
    yield from ()  # it waits for nothing, and is a generator as every statement
    return [(record["id"], record["fingerprint"], record["outcome"]) for record in found]


def insert(session: Session, table: SimulatedTable, values: Values, *, skip_taken: bool = False) -> Statement:
    """Insert one row, whose keys are locked first."""
    record = table.complete(values)
    key = table.key_of(record)
    yield from session.lock((table.name, key))
    if session.newest(table, key) is not None:
        if skip_taken:
            return
        raise ServerError(DUPLICATE, f"duplicate key {key} of {table.name}")
    for constraint, columns in table.unique.items():
        place = (constraint, tuple([record[name] for name in columns]))
        yield from session.lock(place)
        if place in table.taken:
            raise ServerError(DUPLICATE, f"duplicate value of {constraint}")
        session.writes[place] = None
    session.write(table, key, record)


def insert_missing(session: Session, into: Table, rows: Sequence[Values]) -> Statement:
    """Insert rows, and skip those that exist."""
    table = _table(session, into.name)
    for values in rows:
        yield from insert(session, table, values, skip_taken=True)


def write_all(session: Session, writes: Writes) -> Statement:
    """Insert, delete, and write rows that are locked."""
    for into, rows in writes.inserts.items():
        table = _table(session, into.name)
        for values in rows:
            yield from insert(session, table, values)
    for into, rows in writes.deletes.items():
        table = _table(session, into.name)
        for values in rows:
            key = table.key_of(values)
            if session.read(table, key) is not None:
                yield from session.lock((table.name, key))
                session.write(table, key, None)
    for resource, changes in writes.updates.items():
        table = _table(session, resource.table.name)
        for values in changes:
            yield from _update(session, table, values)


def _update(session: Session, table: SimulatedTable, values: Values) -> Statement:
    """Write the columns of a record; those whose names end with `_` are its key, or parameters."""
    key = tuple([values[f"{name}_"] for name in table.columns])
    yield from session.lock((table.name, key))
    record = session.newest(table, key)
    if record is None:
        return 0
    session.write(table, key, {**record, **{name: value for name, value in values.items() if name[-1] != "_"}})
    return 1


def update_guarded(session: Session, resource: Resource, guard: GuardKind, values: Values) -> Statement:
    """Write one row if its version (or its stamp) is still the one that was loaded; how many rows matched."""
    table, key = _table(session, resource.table.name), (values["id_"],)

    def matches(record: Record | None) -> bool:
        if record is None:
            return False
        if guard is GuardKind.VERSION:
            return bool(record["version"] == values["version_"])
        return guard is not GuardKind.TIMESTAMP or bool(record["stamp"] == values["stamp_"])

    if not matches(session.read(table, key)):
        return 0
    yield from session.lock((table.name, key))
    if not matches(session.newest(table, key)):
        return 0
    return (yield from _update(session, table, values))


def install_fence(session: Session, resource: Resource, values: Values) -> Statement:
    """Make (token, owner) the newest holder of the row; the stored token if the row refuses, else None."""
    table, key = _table(session, resource.table.name), (values["id_"],)
    if session.read(table, key) is None:
        return None
    yield from session.lock((table.name, key))
    record = session.newest(table, key)
    token, owner = values["token"], values["owner"]
    if record is None:
        return None
    if record["fence"] < token or (record["fence"] == token and record["fence_owner"] == owner):
        session.write(table, key, {**record, "fence": token, "fence_owner": owner})
        return None
    return record["fence"]


def update_delta(session: Session, resource: Resource, values: Values) -> Statement:
    """Move the counters of one row if they stay in range; (version, counters…) afterwards, or None."""
    table, key = _table(session, resource.table.name), (values["id_"],)
    if session.read(table, key) is None:
        return None
    yield from session.lock((table.name, key))
    record = session.newest(table, key)
    if record is None or any(record[name] != values[f"{name}_"] for name in steady_fields(resource)):
        return None
    after = {name: record[name] + values[f"d{n}"] for n, name in enumerate(resource.counters)}
    counters = list(after.values())
    if min(counters) < 0 or (len(counters) == 2 and counters[0] < counters[1]):
        return None
    version = record["version"] + values["count"]
    session.write(table, key, {**record, **after, "version": version, "stamp": values["stamp"]})
    return (version, *counters)


def write_if_unchanged(session: Session, expected: Sequence[ExpectedRows], writes: Writes) -> Statement:
    """Lock rows in this order and, if all are as expected, write everything; whether it was written."""
    for where, rows, _ in expected:
        table = _table(session, where.name)
        for values in rows:
            key = tuple([values[f"{name}_"] for name in table.columns])
            if session.read(table, key) is None:
                return False
            yield from session.lock((table.name, key))
            record = session.newest(table, key)
            if record is None or any(record[name] != value for name, value in values.items() if name[-1] != "_"):
                return False
    for where, _, changes in expected:
        for values in changes:
            yield from _update(session, _table(session, where.name), values)
    yield from write_all(session, writes)
    return True
