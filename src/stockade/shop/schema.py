"""Whose schema may be changed without being asked: only that of a database which is ours alone.

Neighbours: `store.migrate` changes it; `serve` and `demo` ask here before they use a database.
"""

from stockade.shop.settings import BadSetting, Settings
from stockade.store import Database
from stockade.store.migrate import current_revision, migrate, newest_revision


async def ensure_schema(settings: Settings, database: Database) -> None:
    """Migrate a database that is ours alone (the default file, or one in memory); refuse any other that is not current.

    Raises:
        BadSetting: the schema is not current; the message names the command to run.
    """
    revision = await current_revision(database)
    wanted = newest_revision()
    if revision == wanted:
        return
    if not (settings.uses_default_database or in_memory(database)):
        shown = database.url.render_as_string(hide_password=True)
        found = f"schema {revision}" if revision else "no schema"
        raise BadSetting(f"database: {shown} has {found}, not {wanted}; run: stockade migrate --database URL")
    await migrate(database)


def in_memory(database: Database) -> bool:
    """Whether the database lives in this process only."""
    return database.dialect.name == "sqlite" and database.url.database in (None, "", ":memory:")
