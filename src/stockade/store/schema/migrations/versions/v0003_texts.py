"""Texts hold every letter on MariaDB and MySQL.

Columns of the first two revisions took the character set of the database where they had none of their own: latin1 on
many servers. The migration converts them in place; their constraints and indexes stay. Ids and keys have always had
their own character set.
"""

from collections.abc import Mapping, Sequence

from alembic import op

from stockade.store.schema.types import MARIADB_COLLATION, MYSQL_COLLATION

revision = "0003"
down_revision = "0002"

TextColumn = tuple[str, int, str | None]  # name, length, default

_TEXTS: dict[str, tuple[TextColumn, ...]] = {
    "requests": (("fingerprint", 32, None),),
    "ledger": (("note", 32, None),),
    "outbox": (("kind", 64, None), ("state", 16, "NEW"), ("error", 200, "")),
}


def upgrade() -> None:
    """Convert what is there."""
    convert_texts(_TEXTS)


def convert_texts(texts: Mapping[str, Sequence[TextColumn]]) -> None:
    """Give text columns the character set utf8mb4 on MariaDB and MySQL; other databases need nothing.

    It may run again after an interruption, when some tables are converted already.

    Args:
        texts: the columns of each table; none of them may be NULL.
    """
    dialect = op.get_bind().dialect
    if dialect.name not in ("mysql", "mariadb"):
        return
    maria = dialect.name == "mariadb" or getattr(dialect, "is_mariadb", False)
    collation = MARIADB_COLLATION if maria else MYSQL_COLLATION
    for table, columns in texts.items():
        changes = ", ".join(
            f"MODIFY `{name}` VARCHAR({length}) CHARACTER SET utf8mb4 COLLATE {collation} NOT NULL"
            + ("" if default is None else f" DEFAULT '{default}'")
            for name, length, default in columns
        )
        op.execute(f"ALTER TABLE `{table}` {changes}")  # one statement for each table, because each may copy it
