"""The index of product names: every three letters that follow each other, kept by triggers of the database.

A shorter text is the beginning of such parts, so it is found too; the last parts of a name are shorter. No database has
an index of its own that finds any letters of any alphabet inside a name: MariaDB none at all, PostgreSQL (pg_trgm) and
SQLite (FTS5) only three letters and more, and many Korean words have two.
Neighbours: `model.tables` has the table, revision 0008 fills it, `queries.name_search` reads it.
"""

from functools import partial
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from stockade.store.schema import steps

PART_LENGTH: Final = 3
MAX_NAME: Final = 600  # letters of a folded name
FILLED_AT_ONCE: Final = 500  # products
KEPT: Final = ("", "")  # the row that says that the triggers are there

_NUMBERS = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {last})"
_NO_RIGHT = 1419  # MariaDB and MySQL: the server logs for replication, and the user may not create triggers


class Triggers(NamedTuple):
    """The SQL of one database.

    Attributes:
        made: statements that create the triggers, or replace them.
        filled: the statement that adds the parts of the products that are there, of a range of their ids.
        kept: the statement that adds the row `KEPT`.
    """

    made: tuple[str, ...]
    filled: str
    kept: str


def _parts(name: str, length: str) -> str:
    """The parts of a name as a subquery without its numbers; an empty name has the empty part."""
    return f"SELECT DISTINCT substr({name}, n, {PART_LENGTH}) AS part FROM c WHERE n <= {length}({name}) OR n = 1"  # noqa: S608 - names of ours


def _add(row: str, length: str) -> str:
    numbers = _NUMBERS.format(last=f"{length}({row}.folded_name)")
    parts = f"{numbers} {_parts(f'{row}.folded_name', length)}"
    return f"INSERT INTO product_name_parts (part, product_id) SELECT part, {row}.id FROM ({parts}) AS p"  # noqa: S608 - as above


def _remove(row: str, length: str) -> str:
    numbers = _NUMBERS.format(last=f"{length}({row}.folded_name)")
    parts = f"SELECT part FROM ({numbers} {_parts(f'{row}.folded_name', length)}) AS p"  # noqa: S608 - as above
    return f"DELETE FROM product_name_parts WHERE product_id = {row}.id AND part IN ({parts})"  # noqa: S608 - as above


def _fill(insert: str, length: str, lock: str = "", after: str = "") -> str:
    """Locked: a name that is changed meanwhile would leave its old parts behind."""
    some = f"SELECT id, folded_name FROM products WHERE id > :after AND id <= :last {lock}"  # noqa: S608 - as above
    numbers = f"{_NUMBERS.format(last=MAX_NAME)} SELECT n FROM c"  # noqa: S608 - as above
    return (
        f"{insert} INTO product_name_parts (part, product_id) "  # noqa: S608 - as above
        f"SELECT substr(folded_name, n, {PART_LENGTH}), id FROM ({some}) AS named JOIN ({numbers}) "
        f"AS numbers ON n <= {length}(folded_name) OR n = 1{after}"
    )


def _block(statements: tuple[str, ...]) -> str:
    return f"BEGIN {'; '.join(statements)}; END"


_FUNCTION = f"""
CREATE OR REPLACE FUNCTION keep_product_name_parts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN {_remove("OLD", "length")}; END IF;
    IF TG_OP <> 'DELETE' THEN {_add("NEW", "length")}; END IF;
    RETURN NULL;
END $$
"""
_TRIGGER = (
    "CREATE TRIGGER product_name_parts_changed AFTER INSERT OR DELETE OR UPDATE OF folded_name ON products "
    "FOR EACH ROW EXECUTE FUNCTION keep_product_name_parts()"
)
_POSTGRES = Triggers(
    (
        _FUNCTION,
        f"DO $$ BEGIN DROP TRIGGER IF EXISTS product_name_parts_changed ON products; {_TRIGGER}; END $$",
    ),
    _fill("INSERT", "length", "FOR SHARE", " ON CONFLICT DO NOTHING"),
    "INSERT INTO product_name_parts (part, product_id) VALUES ('', '') ON CONFLICT DO NOTHING",
)
_SQLITE = Triggers(
    tuple(
        f"CREATE TRIGGER IF NOT EXISTS product_name_parts_{name} AFTER {when} ON products {_block(what)}"
        for name, when, what in (
            ("inserted", "INSERT", (_add("new", "length"),)),
            ("updated", "UPDATE OF folded_name", (_remove("old", "length"), _add("new", "length"))),
            ("deleted", "DELETE", (_remove("old", "length"),)),
        )
    ),
    _fill("INSERT OR IGNORE", "length"),
    "INSERT OR IGNORE INTO product_name_parts (part, product_id) VALUES ('', '')",
)
_MYSQL = Triggers(
    tuple(
        statement
        for name, when, what in (
            ("inserted", "INSERT", (_add("NEW", "char_length"),)),
            ("updated", "UPDATE", (_remove("OLD", "char_length"), _add("NEW", "char_length"))),
            ("deleted", "DELETE", (_remove("OLD", "char_length"),)),
        )
        for statement in (
            f"DROP TRIGGER IF EXISTS product_name_parts_{name}",
            f"CREATE TRIGGER product_name_parts_{name} AFTER {when} ON products FOR EACH ROW {_block(what)}",
        )
    ),
    _fill("INSERT IGNORE", "char_length", "LOCK IN SHARE MODE"),
    "INSERT IGNORE INTO product_name_parts (part, product_id) VALUES ('', '')",
)


def keep_name_parts(target: object, connection: Connection, **_: Any) -> None:
    """Create the triggers and add the parts of the products that are there; may run again after an interruption.

    A user of MariaDB or MySQL may lack the right to create triggers. Then there is no index, and a search reads the
    list of products.

    Args:
        target: of the event of SQLAlchemy that calls this after the tables were made; not used.
        connection: of a migration.

    Raises:
        Busy: other transactions kept the table of products too long.
    """
    triggers = {"postgresql": _POSTGRES, "sqlite": _SQLITE}.get(connection.dialect.name, _MYSQL)
    try:
        for statement in triggers.made:
            steps.alter(connection, partial(connection.exec_driver_sql, statement))
    except DBAPIError as error:
        if _code(error) == _NO_RIGHT:
            return
        raise
    for after, last in steps.key_ranges(connection, "products", FILLED_AT_ONCE):
        connection.execute(text(triggers.filled), {"after": after, "last": last})
    connection.exec_driver_sql(triggers.kept)


def _code(error: DBAPIError) -> object:
    return error.orig.args[0] if error.orig is not None and error.orig.args else None
