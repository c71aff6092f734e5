"""Nothing: this revision changed only tables of the store, and both had one history up to 0004 (docs/adr/0016)."""

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Change nothing."""
