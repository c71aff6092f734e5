"""Nothing: this revision changed only tables of the store, and both had one history up to 0004 (docs/adr/0016)."""

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Change nothing."""
