"""Events leave the outbox and commands come from a log: delivery states, relay parts, inbox, positions, marks."""

import sqlalchemy as sa
from alembic import op

from stockade.store.schema.migrations.names import tables_to_migrate
from stockade.store.schema.types import text_id

revision = "0002"
down_revision = "0001"

_OUTBOX = (
    ("part", sa.Integer(), "0"),
    ("state", sa.String(16), "NEW"),
    ("attempts", sa.Integer(), "0"),
    ("next_ms", sa.BigInteger(), "0"),
    ("error", sa.String(200), ""),
)


def upgrade() -> None:
    """Add the columns and tables."""
    names = tables_to_migrate()
    prefix, schema = names.prefix, names.schema
    for name, type_, default in _OUTBOX:
        op.add_column(f"{prefix}outbox", sa.Column(name, type_, nullable=False, server_default=default), schema=schema)
    open_ = sa.column("state", sa.String) != "CONFIRMED"
    columns = ["state", "part", "id"]
    op.create_index(
        f"ix_{prefix}outbox_state_part_id",
        f"{prefix}outbox",
        columns,
        postgresql_where=open_,
        sqlite_where=open_,
        schema=schema,
    )
    op.create_table(
        f"{prefix}relay_parts",
        sa.Column("part", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("owner", text_id(), nullable=False),
        sa.Column("beat", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("part", name=f"pk_{prefix}relay_parts"),
        schema=schema,
    )
    op.create_table(
        f"{prefix}inbox",
        sa.Column("consumer", text_id(), nullable=False),
        sa.Column("event_id", text_id(48), nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("consumer", "event_id", name=f"pk_{prefix}inbox"),
        schema=schema,
    )
    op.create_index(f"ix_{prefix}inbox_at_ms", f"{prefix}inbox", ["at_ms"], schema=schema)
    op.create_table(
        f"{prefix}positions",
        sa.Column("topic", text_id(200), nullable=False),
        sa.Column("part", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("topic", "part", name=f"pk_{prefix}positions"),
        schema=schema,
    )
    op.create_table(
        f"{prefix}marks",
        sa.Column("name", text_id(), nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name=f"pk_{prefix}marks"),
        schema=schema,
    )
