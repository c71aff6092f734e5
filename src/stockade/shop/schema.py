"""Whose schema may be changed without being asked: only that of a database which is ours alone.

Neighbours: `store.migrate` changes it; `serve` and `demo` ask here before they use a database.
"""

from stockade.core.secrets import hide_password
from stockade.shop.settings import BadSetting, Settings
from stockade.shop.strategy_choice import in_memory
from stockade.store import Database
from stockade.store.migrate import current_revision, migrate, newest_revision


async def require_schema(database: Database) -> None:
    """Refuse a database whose schema is not current.

    Raises:
        BadSetting: it is not; the message names the command to run.
    """
    revision, wanted = await current_revision(database), newest_revision()
    if revision != wanted:
        shown = hide_password(database.url.render_as_string(hide_password=True))
        found = f"schema {revision}" if revision else "no schema"
        raise BadSetting(f"database: {shown} has {found}, not {wanted}; run: stockade migrate --database URL")


async def ensure_schema(settings: Settings, database: Database) -> None:
    """Migrate a database that is ours alone (the default file, or one in memory); refuse any other that is not current.

    Several processes may do this at once: migrations take turns, and the later ones find nothing to do.

    Raises:
        BadSetting: the schema is not current; the message names the command to run.
    """
    own = settings.uses_default_database or in_memory(settings)
    if own and await current_revision(database) != newest_revision():
        await migrate(database)
    await require_schema(database)
