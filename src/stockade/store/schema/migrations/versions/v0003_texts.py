"""Texts hold every letter on MariaDB and MySQL, and a product's name is kept without its case for the search.

Columns of the first two revisions took the character set of the database where they had none of their own: latin1 on
many servers. They are converted in place; their constraints and indexes stay. Ids and keys have always had their own.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from stockade.core.case_folding import folded
from stockade.store.schema.types import MARIADB_COLLATION, MYSQL_COLLATION, text

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

FILLED_AT_ONCE = 500  # products

# table -> (column, length, default)
_TEXTS: dict[str, tuple[tuple[str, int, str | None], ...]] = {
    "requests": (("fingerprint", 32, None),),
    "ledger": (("note", 32, None),),
    "outbox": (("kind", 64, None), ("state", 16, "NEW"), ("error", 200, "")),
    "products": (("name", 200, None), ("category", 100, None), ("status", 16, None)),
    "orders": (("status", 16, None), ("pay", 16, None), ("reason", 200, None)),
    "payments": (("status", 16, None), ("method", 16, None)),
    "stockade_schema": (("version_num", 32, None),),  # Alembic's own
}


def upgrade() -> None:
    """Convert what is there, then add and fill the folded names.

    An interrupted one can be done again: MariaDB and MySQL keep the statements that had ended, the others none.
    """
    dialect = op.get_bind().dialect
    there = False
    if dialect.name in ("mysql", "mariadb"):
        maria = dialect.name == "mariadb" or getattr(dialect, "is_mariadb", False)
        _convert(MARIADB_COLLATION if maria else MYSQL_COLLATION)
        there = _is_there("products", "folded_name")
    if not there:
        op.add_column("products", sa.Column("folded_name", text(600), nullable=False, server_default=""))
    _fill()


def _is_there(table: str, column: str) -> bool:
    """Whether MariaDB or MySQL has this column."""
    found = sa.text(
        "SELECT count(*) FROM information_schema.columns"
        " WHERE table_schema = DATABASE() AND table_name = :table AND column_name = :column"
    )
    return bool(op.get_bind().execute(found, {"table": table, "column": column}).scalar_one())


def _convert(collation: str) -> None:
    """One statement for each table, because each may copy it."""
    for table, columns in _TEXTS.items():
        changes = ", ".join(
            f"MODIFY `{name}` VARCHAR({length}) CHARACTER SET utf8mb4 COLLATE {collation} NOT NULL"
            + ("" if default is None else f" DEFAULT '{default}'")
            for name, length, default in columns
        )
        op.execute(f"ALTER TABLE `{table}` {changes}")


def _fill() -> None:
    """Fold the names that are there, some at a time in the order of their ids."""
    bind = op.get_bind()
    products = sa.table("products", *(sa.column(name, sa.String) for name in ("id", "name", "folded_name")))
    fill = sa.update(products).where(products.c.id == sa.bindparam("id_"))
    fill = fill.values(folded_name=sa.bindparam("folded_"))
    some = sa.select(products.c.id, products.c.name).order_by(products.c.id).limit(FILLED_AT_ONCE)
    last = ""
    while found := bind.execute(some.where(products.c.id > last)).all():
        values: list[dict[str, Any]] = [{"id_": id_, "folded_": folded(name)} for id_, name in found]
        bind.execute(fill, values)
        last = found[-1].id


def downgrade() -> None:
    """Remove the folded names. The character sets stay: another one could not hold the texts."""
    op.drop_column("products", "folded_name")
