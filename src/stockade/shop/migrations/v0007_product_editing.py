"""Products are edited under a version, orders are found by state and by product, and refused orders are listed.

Processes of the version before go on beside it. Every new column has a default, and the lines that they write have no
time: a list of the orders of a product shows those last.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from stockade.store.schema.types import text_id

revision = "0007"
down_revision = "0006"

FILLED_AT_ONCE = 5_000  # orders

_COLUMNS: dict[str, tuple[tuple[str, Any, str], ...]] = {
    "products": (
        ("version", sa.BigInteger(), "1"),
        ("stamp", sa.BigInteger(), "0"),
        ("fence", sa.BigInteger(), "0"),
        ("fence_owner", text_id(), ""),
    ),
    "skus": (("hidden", sa.BigInteger(), "0"),),
    "order_lines": (("created_ms", sa.BigInteger(), "0"),),
}
_INDEXES = {
    "products": ("status", "id"),
    "orders": ("status", "created_ms"),
    "order_lines": ("product_id", "created_ms"),
}


def upgrade() -> None:
    """Add columns, fill the time of each line, then add the indexes.

    It may run again after an interruption: MariaDB and MySQL keep each statement that ended, the others keep none.
    """
    for table, columns in _COLUMNS.items():
        # not by reflection, which needs a JSON type that connections through a pooler do not have
        there = op.get_bind().execute(sa.text(f"SELECT * FROM {table} WHERE 1 = 0")).keys()  # noqa: S608 - names above
        for name, type_, default in columns:
            if name not in there:
                op.add_column(table, sa.Column(name, type_, nullable=False, server_default=default))
    _fill()
    for table, names in _INDEXES.items():
        _add_index(table, *names)
    op.create_table(
        "refused_orders",
        sa.Column("id", text_id(32), nullable=False),
        sa.Column("user_id", text_id(), nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_refused_orders"),
        if_not_exists=True,
    )
    _add_index("refused_orders", "user_id", "created_ms")
    _add_index("refused_orders", "created_ms")


def _add_index(table: str, *names: str) -> None:
    name = f"ix_{table}_{'_'.join(names)}"
    bind = op.get_bind()
    if bind.dialect.name == "mysql":  # which has no IF NOT EXISTS for an index
        if name not in {each["name"] for each in sa.inspect(bind).get_indexes(table)}:
            op.create_index(name, table, list(names))
    else:
        op.create_index(name, table, list(names), if_not_exists=True)


def _fill() -> None:
    """Give each line the time of its order, some orders at a time in the order of their ids."""
    bind = op.get_bind()
    orders = sa.table("orders", sa.column("id", sa.String), sa.column("created_ms", sa.BigInteger))
    lines = sa.table("order_lines", sa.column("order_id", sa.String), sa.column("created_ms", sa.BigInteger))
    time = sa.select(orders.c.created_ms).where(orders.c.id == lines.c.order_id).scalar_subquery()
    some = sa.select(orders.c.id).order_by(orders.c.id).limit(FILLED_AT_ONCE)
    last = ""
    while found := bind.execute(some.where(orders.c.id > last)).scalars().all():
        these = (lines.c.order_id > last, lines.c.order_id <= found[-1], lines.c.created_ms == 0)
        bind.execute(sa.update(lines).where(*these).values(created_ms=sa.func.coalesce(time, 0)))
        last = found[-1]
