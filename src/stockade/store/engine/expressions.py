"""SQLAlchemy expressions of the statements that are the same on every database.

Neighbour: `dialect` compiles and sends them.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Insert,
    Select,
    Table,
    Update,
    and_,
    bindparam,
    insert,
    literal_column,
    or_,
    select,
    update,
)

from stockade.core import GuardKind
from stockade.store.schema.resource import Resource


def select_rows(resource: Resource) -> Select[Any]:
    """(id, fields…, version, stamp), or (parent, fields…) of children in primary-key order."""
    table = resource.table
    fields = [table.c[name] for name in resource.state._fields]
    if resource.many:
        return select(table.c[resource.parent], *fields).order_by(*table.primary_key.columns)
    return select(table.c.id, *fields, table.c.version, table.c.stamp).order_by(table.c.id)


def insert_one(table: Table, columns: Sequence[str]) -> Insert:
    """INSERT of one record."""
    return insert(table).values({name: bindparam(name) for name in columns})


def equal(table: Table, columns: Sequence[str]) -> ColumnElement[bool]:
    """All these columns equal the parameters of their names."""
    return and_(*(table.c[name] == bindparam(name, type_=table.c[name].type) for name in columns))


def update_one(resource: Resource, guard: GuardKind = GuardKind.NONE) -> Update:
    """Set every written field, version and stamp of one row; the guard joins the WHERE."""
    table = resource.table
    statement = update(table).where(table.c.id == bindparam("id_"))
    if guard is GuardKind.VERSION:
        statement = statement.where(table.c.version == bindparam("version_"))
    elif guard is GuardKind.TIMESTAMP:
        statement = statement.where(table.c.stamp == bindparam("stamp_"))
    return statement.values({name: bindparam(name) for name in (*resource.written, "version", "stamp")})


def steady_fields(resource: Resource) -> list[str]:
    """The fields that a change of the counters leaves as they are, and that another change may set: a price."""
    return [name for name in resource.written if name not in resource.counters]


def update_counters(resource: Resource, returning: bool) -> Update:
    """Conditional UPDATE: both counters stay >= 0 and the second one within the first, and no other field has changed.

    The parameters of the other fields are their names with `_`.
    """
    table = resource.table
    after = [table.c[name] + bindparam(f"d{n}", type_=table.c[name].type) for n, name in enumerate(resource.counters)]
    statement = update(table).where(table.c.id == bindparam("id_"))
    for value in after:
        statement = statement.where(value >= literal_column("0"))
    if len(after) == 2:
        statement = statement.where(after[0] >= after[1])
    for name in steady_fields(resource):
        column = table.c[name]
        read = bindparam(f"{name}_", type_=column.type)
        statement = statement.where(column.is_not_distinct_from(read) if column.nullable else column == read)
    moves = dict(zip(resource.counters, after, strict=True))
    statement = statement.values(
        **moves, version=table.c.version + bindparam("count", type_=table.c.version.type), stamp=bindparam("stamp")
    )
    return statement.returning(*_counters(resource)) if returning else statement


def update_fence(resource: Resource) -> Update:
    """Install a token that is newer, or this owner's own: an equal token of another owner is refused.

    A lock server that lost its newest write in a failover grants the same token twice; hence the owner.
    """
    table = resource.table
    token, owner = bindparam("token", type_=table.c.fence.type), bindparam("owner", type_=table.c.fence_owner.type)
    newer = or_(table.c.fence < token, and_(table.c.fence == token, table.c.fence_owner == owner))
    return update(table).where(table.c.id == bindparam("id_"), newer).values(fence=token, fence_owner=owner)


def select_fence(resource: Resource) -> Select[Any]:
    """(token) that a row holds."""
    return select(resource.table.c.fence).where(resource.table.c.id == bindparam("id_"))


def select_counters(resource: Resource) -> Select[Any]:
    """(version, counters…) of one row."""
    return select(*_counters(resource)).where(resource.table.c.id == bindparam("id_"))


def _counters(resource: Resource) -> list[Any]:
    return [resource.table.c.version, *(resource.table.c[name] for name in resource.counters)]
