"""Events leave the outbox and commands come from a log: delivery states, relay parts, inbox, positions, marks."""

import sqlalchemy as sa
from alembic import op

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
    for name, type_, default in _OUTBOX:
        op.add_column("outbox", sa.Column(name, type_, nullable=False, server_default=default))
    open_ = sa.column("state", sa.String) != "CONFIRMED"
    columns = ["state", "part", "id"]
    op.create_index("ix_outbox_state_part_id", "outbox", columns, postgresql_where=open_, sqlite_where=open_)
    op.create_table(
        "relay_parts",
        sa.Column("part", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("owner", text_id(), nullable=False),
        sa.Column("beat", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("part", name="pk_relay_parts"),
    )
    op.create_table(
        "inbox",
        sa.Column("consumer", text_id(), nullable=False),
        sa.Column("event_id", text_id(48), nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("consumer", "event_id", name="pk_inbox"),
    )
    op.create_index("ix_inbox_at_ms", "inbox", ["at_ms"])
    op.create_table(
        "positions",
        sa.Column("topic", text_id(200), nullable=False),
        sa.Column("part", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("topic", "part", name="pk_positions"),
    )
    op.create_table(
        "marks",
        sa.Column("name", text_id(), nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_marks"),
    )
