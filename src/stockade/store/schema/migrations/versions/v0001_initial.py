"""Requests, ledger and outbox."""

import sqlalchemy as sa
from alembic import op

from stockade.store.schema.migrations.names import tables_to_migrate
from stockade.store.schema.types import serial, text_id

revision = "0001"
down_revision = None
branch_labels = ("stockade_store",)  # where another project's environment runs these migrations beside its own


def upgrade() -> None:
    """Create the tables."""
    names = tables_to_migrate()
    prefix, schema = names.prefix, names.schema
    op.create_table(
        f"{prefix}requests",
        sa.Column("id", text_id(32), nullable=False),
        sa.Column("fingerprint", sa.String(32), nullable=False),
        sa.Column("outcome", sa.LargeBinary, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name=f"pk_{prefix}requests"),
        schema=schema,
    )
    op.create_index(f"ix_{prefix}requests_created_ms", f"{prefix}requests", ["created_ms"], schema=schema)
    op.create_table(
        f"{prefix}ledger",
        sa.Column("kind", text_id(16), nullable=False),
        sa.Column("row_id", text_id(), nullable=False),
        sa.Column("request_id", text_id(32), nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("delta", sa.BigInteger, nullable=False),
        sa.Column("held", sa.BigInteger, nullable=False),
        sa.Column("amount_after", sa.BigInteger, nullable=False),
        sa.Column("held_after", sa.BigInteger, nullable=False),
        sa.Column("note", sa.String(32), nullable=False),
        sa.Column("ref", text_id(), nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("kind", "row_id", "request_id", name=f"pk_{prefix}ledger"),
        schema=schema,
    )
    op.create_table(
        f"{prefix}outbox",
        sa.Column("id", serial(), autoincrement=True, nullable=False),
        sa.Column("request_id", text_id(32), nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("key", text_id(81), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name=f"pk_{prefix}outbox"),
        schema=schema,
    )
