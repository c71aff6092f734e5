"""An index of product names, so that a search does not read the list of all products.

Processes of the version before go on beside it: triggers of the database keep it, whoever writes a product.
"""

import sqlalchemy as sa
from alembic import op

from stockade.shop.model.name_parts import keep_name_parts
from stockade.store.schema.types import text_id

revision = "0008"
down_revision = "0007"
in_steps = True


def upgrade() -> None:
    """Add the table, the triggers, and the parts of the names that are there."""
    op.create_table(
        "product_name_parts",
        sa.Column("part", text_id(3), nullable=False),
        sa.Column("product_id", text_id(), nullable=False),
        sa.PrimaryKeyConstraint("part", "product_id", name="pk_product_name_parts"),
        if_not_exists=True,
    )
    keep_name_parts(None, op.get_bind())
