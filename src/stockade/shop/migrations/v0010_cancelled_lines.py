"""Units of single lines that were cancelled, while the rest of their order goes on.

A process of the version before does not read the table: it would give back what was given back already. So nobody may
cancel lines before all of these processes have ended.
"""

import sqlalchemy as sa
from alembic import op

from stockade.store.schema.types import text_id

revision = "0010"
down_revision = "0009"
in_steps = True


def upgrade() -> None:
    """Add the table; one that an interruption left is kept."""
    op.create_table(
        "cancelled_lines",
        sa.Column("order_id", text_id(32), nullable=False),
        sa.Column("line", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("request_id", text_id(32), nullable=False),
        sa.Column("sku_id", text_id(), nullable=False),
        sa.Column("product_id", text_id(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("payment_id", text_id(32), nullable=False),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_cancelled_lines_quantity")),
        sa.CheckConstraint("amount >= 0", name=op.f("ck_cancelled_lines_amount")),
        sa.PrimaryKeyConstraint("order_id", "line", "request_id", name=op.f("pk_cancelled_lines")),
        if_not_exists=True,
    )
