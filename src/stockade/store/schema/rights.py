"""The rights that a database user lacks, so that a process reports them at its start and not at the first order.

Neighbour: `shop.database_checks` calls this at the start of every process that writes.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, Executable, Table, delete, false, insert, select, update
from sqlalchemy.exc import DBAPIError

from stockade.drivers.failures import Failure, classify, describe
from stockade.store.schema.tables import ONLY_INSERTED

# Sequences of serial columns need a right; that of an identity column belongs to its table and needs none.
_MISSING = """
WITH ours AS (
    SELECT t.oid, t.relname, t.relnamespace, n.only_inserted
    FROM unnest($1::text[], $2::boolean[]) AS n (name, only_inserted) JOIN pg_class t ON t.oid = to_regclass(n.name)
), missing AS (
    SELECT 'table' AS kind, o.relname, o.relnamespace, r AS wanted
    FROM ours o CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS r
    WHERE NOT has_table_privilege(o.oid, r) AND NOT (o.only_inserted AND r IN ('UPDATE', 'DELETE'))
    UNION ALL
    SELECT 'sequence', s.relname, s.relnamespace, 'USAGE'
    FROM ours o
    JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = o.oid AND d.deptype = 'a'
    JOIN pg_class s ON d.classid = 'pg_class'::regclass AND s.oid = d.objid
    WHERE CASE WHEN s.relkind = 'S' THEN NOT has_sequence_privilege(s.oid, 'USAGE, UPDATE') END
)
SELECT kind, relname, quote_ident(nspname), quote_ident(current_user), wanted
FROM missing JOIN pg_namespace n ON n.oid = relnamespace
"""


def missing_rights(connection: Connection, tables: Sequence[Table]) -> list[str]:
    """The rights on these tables that this user lacks, as error messages of the database; changes nothing.

    Args:
        connection: to a database whose schema is current.
        tables: those that the program writes.
    """
    match connection.dialect.name:
        case "sqlite":  # no users
            return []
        case "postgresql":
            name = connection.dialect.identifier_preparer.format_table
            given = [name(each) for each in tables], [ONLY_INSERTED in each.info for each in tables]
            rows = connection.exec_driver_sql(_MISSING, given).all()
            return [
                f"permission denied for {kind} {name} in schema {place} for user {user}: {wanted} is missing"
                for kind, name, place, user, wanted in rows
            ]
    return [text for table in tables for each in _writes(table) if (text := _refusal(connection, each))]


def _writes(table: Table) -> tuple[Executable, ...]:
    """One statement for each right. They match no row, but the server checks the rights first.

    The store only inserts into the ledger, so an owner may revoke the other rights on it.
    """
    column = next(iter(table.primary_key))
    rows = select(table).where(false())
    add = insert(table).from_select(list(table.c), rows, include_defaults=False)
    if ONLY_INSERTED in table.info:
        return (add,)
    return add, update(table).where(false()).values({column: column}), delete(table).where(false())


def _refusal(connection: Connection, statement: Executable) -> str:
    """The server's error message; empty if the server allows the statement."""
    try:
        connection.execute(statement)
    except DBAPIError as error:
        if classify(error) is Failure.REFUSED:
            return describe(error)
        raise
    return ""
