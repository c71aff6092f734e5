"""Tables of other programs whose names the store's tables would have: found before a migration, not halfway through it.

Neighbour: `migrate` calls it.
"""

from sqlalchemy import Connection, Inspector, MetaData, Table, inspect

from stockade.core import NotSupported
from stockade.store.schema.tables import StoreTables

EXAMPLE = "stockade_"  # the prefix that messages propose


def refuse_collisions(
    connection: Connection, owner: str, metadata: MetaData, names: StoreTables | None, *, may_exist: bool = False
) -> None:
    """Refuse to make tables where others have their names, and where the schema is missing.

    Args:
        connection: to the database that gets the tables.
        owner: of the tables, for the message.
        metadata: the tables.
        names: of the store's tables, if these are they.
        may_exist: tables with all the columns are theirs already.

    Raises:
        NotSupported: the message names the table, and says what to do.
    """
    inspector = inspect(connection)
    if names is not None and names.schema is not None and not inspector.has_schema(names.schema):
        raise NotSupported(
            f"the database has no schema {names.schema!r}: create it first (CREATE SCHEMA {names.schema})"
        )
    for table in metadata.sorted_tables:
        if not inspector.has_table(table.name, table.schema):
            continue
        missing = _missing_columns(inspector, table)
        if may_exist and not missing:
            continue
        raise NotSupported(f"a table {table.fullname} exists, {_why_not_ours(owner, missing)}; {_advice(owner, names)}")


def _missing_columns(inspector: Inspector, table: Table) -> list[str]:
    there = {column["name"] for column in inspector.get_columns(table.name, table.schema)}
    return [column.name for column in table.columns if column.name not in there]


def _why_not_ours(owner: str, missing: list[str]) -> str:
    if missing:
        return f"and is not the {owner}'s: it has no column {', '.join(missing)}"
    return f"and no migration of the {owner} is recorded: create_all made it, an own history, or one that broke off"


def _advice(owner: str, names: StoreTables | None) -> str:
    if names is None:
        return f"rename or drop it, or give the {owner} a database of its own"
    prefix = EXAMPLE if names.prefix != EXAMPLE else "store_"
    return f"give the store's tables a prefix, tables=StoreTables(prefix={prefix!r}), or rename or drop that table"
