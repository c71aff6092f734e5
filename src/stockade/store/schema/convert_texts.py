"""Converts text columns of MariaDB and MySQL to utf8mb4; a step of migrations.

Neighbours: the revisions 0003 of the store and of the shop call it.
"""

from collections.abc import Mapping, Sequence

from alembic import op

from stockade.store.schema.types import MARIADB_COLLATION, MYSQL_COLLATION

TextColumn = tuple[str, int, str | None]  # name, length, default


def convert_texts(texts: Mapping[str, Sequence[TextColumn]], schema: str | None = None) -> None:
    """Give text columns the character set utf8mb4 on MariaDB and MySQL; other databases need nothing.

    It may run again after an interruption, when some tables are converted already.

    Args:
        texts: the columns of each table; none of them may be NULL.
        schema: the database that has the tables; None: the one that the connection uses.
    """
    dialect = op.get_bind().dialect
    if dialect.name not in ("mysql", "mariadb"):
        return
    maria = dialect.name == "mariadb" or getattr(dialect, "is_mariadb", False)
    collation = MARIADB_COLLATION if maria else MYSQL_COLLATION
    place = f"`{schema}`." if schema else ""
    for table, columns in texts.items():
        changes = ", ".join(
            f"MODIFY `{name}` VARCHAR({length}) CHARACTER SET utf8mb4 COLLATE {collation} NOT NULL"
            + ("" if default is None else f" DEFAULT '{default}'")
            for name, length, default in columns
        )
        op.execute(f"ALTER TABLE {place}`{table}` {changes}")  # one statement for each table, because each may copy it
