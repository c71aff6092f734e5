"""Bring a database to the present schema, or ask whether it is there."""

import time
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from stockade.core import NotSupported
from stockade.store.engine.database import Database
from stockade.store.schema.tables import metadata

VERSION_TABLE = "stockade_schema"
MIGRATE_WAIT_S = 3_600.0  # how long one migration may wait for another process's, and then take: it may copy tables


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def newest_revision() -> str:
    """The revision this version of the program wants."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def is_known(revision: str) -> bool:
    """Whether this version of the program can bring a database of this revision to the newest one."""
    return revision in {each.revision for each in ScriptDirectory.from_config(_config()).walk_revisions()}


async def current_revision(database: Database, *, timeout_s: float = 5.0) -> str | None:
    """The revision of the database, None when it has no schema of ours.

    Args:
        database: to look at.
        timeout_s: as for `Database.read`, whose errors it raises.
    """

    def body(connection: Connection) -> str | None:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        return context.get_current_revision()

    return await database.read(body, timeout_s=timeout_s)


async def is_current(database: Database) -> bool:
    """Whether the schema is the one this program wants."""
    return await current_revision(database) == newest_revision()


async def migrate(database: Database, revision: str = "head") -> str | None:
    """Upgrade the schema; two processes at once take turns, and the second finds nothing to do.

    Args:
        database: the database to change.
        revision: where to go; `head` is the newest.

    Returns:
        The revision before, None for an empty database.

    Raises:
        Busy: another migration did not end within `MIGRATE_WAIT_S`.
        NotSupported: the schema of the database, or `revision`, is unknown to this program.
    """
    before = await current_revision(database)
    config = _config()

    def body(connection: Connection) -> None:
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, revision)
        except CommandError as error:  # a schema that a newer program made, or a revision that there is not
            raise NotSupported(f"the schema {before} cannot be brought to {revision}: {error}") from error

    advisory = () if database.dialect.name == "sqlite" else ("stockade:migrate",)
    await database.transaction(body, deadline=time.monotonic() + MIGRATE_WAIT_S, advisory=advisory)
    return before


async def create_all(database: Database) -> None:
    """Create the tables without migrations: for tests and throw-away databases."""
    await database.transaction(metadata.create_all, deadline=time.monotonic() + MIGRATE_WAIT_S)
