"""Each process registers the guard that it writes under."""

import sqlalchemy as sa
from alembic import op

from stockade.store.schema.migrations.names import tables_to_migrate
from stockade.store.schema.types import text_id

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the table."""
    names = tables_to_migrate()
    prefix, schema = names.prefix, names.schema
    op.create_table(
        f"{prefix}guards_in_use",
        sa.Column("id", text_id(32), nullable=False),
        sa.Column("process", text_id(255), nullable=False),
        sa.Column("strategy", text_id(255), nullable=False),
        sa.Column("guard", text_id(64), nullable=False),
        sa.Column("compatibility", text_id(255), nullable=False),
        sa.Column("overselling", sa.Integer, nullable=False),
        sa.Column("started_ms", sa.BigInteger, nullable=False),
        sa.Column("renewed_ms", sa.BigInteger, nullable=False),
        sa.Column("lease_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name=f"pk_{prefix}guards_in_use"),
        schema=schema,
        if_not_exists=True,  # MariaDB and MySQL keep it when the migration is interrupted right after this statement
    )
