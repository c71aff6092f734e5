"""Sums of the sales of each product, so that popular products are not summed over every order.

A process of a version before goes on beside the new tables, which it neither reads nor writes: the job in `shop.sales`
counts the events of its orders too. The number 0005 is not used.
"""

import sqlalchemy as sa
from alembic import op

from stockade.store.schema.steps import has_index
from stockade.store.schema.types import text_id

revision = "0006"
down_revision = "0004"
in_steps = True


def upgrade() -> None:
    """Add the tables; those that an interruption left are kept."""
    op.create_table(
        "product_sales",
        sa.Column("hour_ms", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("product_id", text_id(), nullable=False),
        sa.Column("quantity", sa.BigInteger, nullable=False),
        sa.Column("revenue", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("hour_ms", "product_id", name="pk_product_sales"),
        if_not_exists=True,
    )
    op.create_table(
        "sales_windows",
        sa.Column("days", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("from_ms", sa.BigInteger, nullable=False),
        sa.Column("to_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("days", name="pk_sales_windows"),
        if_not_exists=True,
    )
    op.create_table(
        "window_sales",
        sa.Column("days", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("product_id", text_id(), nullable=False),
        sa.Column("quantity", sa.BigInteger, nullable=False),
        sa.Column("revenue", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("days", "product_id", name="pk_window_sales"),
        if_not_exists=True,
    )
    for name in ("quantity", "revenue"):
        index = f"ix_window_sales_{name}"
        if not has_index(op.get_bind(), index, "window_sales"):  # MySQL has no IF NOT EXISTS for an index
            op.create_index(index, "window_sales", ["days", sa.column(name).desc(), sa.column("product_id")])
    op.create_table(
        "sales_progress",
        sa.Column("name", text_id(), nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("counted_from_ms", sa.BigInteger, nullable=False),
        sa.Column("as_of_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_sales_progress"),
        if_not_exists=True,
    )
