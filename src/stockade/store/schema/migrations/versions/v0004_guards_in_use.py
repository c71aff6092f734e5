"""Each process registers the guard that it writes under."""

import sqlalchemy as sa
from alembic import op

from stockade.store.schema.types import text_id

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "guards_in_use",
        sa.Column("id", text_id(32), nullable=False),
        sa.Column("process", text_id(255), nullable=False),
        sa.Column("strategy", text_id(255), nullable=False),
        sa.Column("guard", text_id(64), nullable=False),
        sa.Column("compatibility", text_id(255), nullable=False),
        sa.Column("overselling", sa.Integer, nullable=False),
        sa.Column("started_ms", sa.BigInteger, nullable=False),
        sa.Column("renewed_ms", sa.BigInteger, nullable=False),
        sa.Column("lease_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_guards_in_use"),
        if_not_exists=True,  # MariaDB and MySQL keep it when the migration is interrupted right after this statement
    )
