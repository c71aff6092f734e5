"""Products are edited under a version, orders are found by state and by product, and refused orders are listed.

Processes of the version before go on beside it. Every new column has a default, and the lines that they write have no
time: a list of the orders of a product shows those last.
"""

from functools import partial
from typing import Any

import sqlalchemy as sa
from alembic import op

from stockade.store.schema import steps
from stockade.store.schema.types import text_id

revision = "0007"
down_revision = "0006"
in_steps = True

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
_INDEXES = (
    ("products", ("status", "id")),
    ("orders", ("status", "created_ms")),
    ("order_lines", ("product_id", "created_ms")),
    ("refused_orders", ("user_id", "created_ms")),
    ("refused_orders", ("created_ms",)),
)


def upgrade() -> None:
    """Add columns and a table, fill the time of each line, then add the indexes.

    It may run again after an interruption: where it goes in steps, each statement that ended is kept.
    """
    bind = op.get_bind()
    for table, columns in _COLUMNS.items():
        # not by reflection, which needs a JSON type that connections through a pooler do not have
        there = bind.execute(sa.text(f"SELECT * FROM {table} WHERE 1 = 0")).keys()  # noqa: S608 - names above
        for name, type_, default in columns:
            if name not in there:
                new = sa.Column(name, type_, nullable=False, server_default=default)
                steps.alter(bind, partial(op.add_column, table, new))
    op.create_table(
        "refused_orders",
        sa.Column("id", text_id(32), nullable=False),
        sa.Column("user_id", text_id(), nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_refused_orders"),
        if_not_exists=True,
    )
    _fill(bind)
    for table, names in _INDEXES:
        steps.add_index(bind, table, names)


def _fill(bind: sa.Connection) -> None:
    """Give each line the time of its order, some orders at a time in the order of their ids."""
    orders = sa.table("orders", sa.column("id", sa.String), sa.column("created_ms", sa.BigInteger))
    lines = sa.table("order_lines", sa.column("order_id", sa.String), sa.column("created_ms", sa.BigInteger))
    time = sa.select(orders.c.created_ms).where(orders.c.id == lines.c.order_id).scalar_subquery()
    for after, last in steps.key_ranges(bind, "orders"):
        these = (lines.c.order_id > after, lines.c.order_id <= last, lines.c.created_ms == 0)
        bind.execute(sa.update(lines).where(*these).values(created_ms=sa.func.coalesce(time, 0)))
