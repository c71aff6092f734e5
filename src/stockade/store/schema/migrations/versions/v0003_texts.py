"""Texts hold every letter on MariaDB and MySQL.

Columns of the first two revisions took the character set of the database where they had none of their own: latin1 on
many servers. The migration converts them in place; their constraints and indexes stay. Ids and keys have always had
their own character set.
"""

from stockade.store.schema.convert_texts import TextColumn, convert_texts
from stockade.store.schema.migrations.names import tables_to_migrate

revision = "0003"
down_revision = "0002"

_TEXTS: dict[str, tuple[TextColumn, ...]] = {
    "requests": (("fingerprint", 32, None),),
    "ledger": (("note", 32, None),),
    "outbox": (("kind", 64, None), ("state", 16, "NEW"), ("error", 200, "")),
}


def upgrade() -> None:
    """Convert what is there."""
    names = tables_to_migrate()
    convert_texts({names.prefix + name: texts for name, texts in _TEXTS.items()}, names.schema)
