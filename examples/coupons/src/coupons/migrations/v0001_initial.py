"""Campaigns and coupons."""

import sqlalchemy as sa
from alembic import op

from stockade.store import guarded, text, text_id

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create both tables."""
    op.create_table(
        "campaigns",
        sa.Column("id", text_id(), nullable=False, primary_key=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("free", sa.BigInteger, nullable=False),
        sa.Column("ends_ms", sa.BigInteger, nullable=False),
        sa.Column("status", text(16), nullable=False),
        *guarded(),
        sa.CheckConstraint("free >= 0", name="ck_campaigns_free"),
    )
    op.create_index("ix_campaigns_status_ends_ms_id", "campaigns", ["status", "ends_ms", "id"])
    op.create_table(
        "coupons",
        sa.Column("id", text_id(), nullable=False, primary_key=True),
        sa.Column("campaign_id", text_id(), nullable=False),
        sa.Column("user_id", text_id(255), nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("given_ms", sa.BigInteger, nullable=False),
        *guarded(),
    )
    op.create_index("ix_coupons_user_id_id", "coupons", ["user_id", "id"])
