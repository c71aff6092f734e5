"""Whose schema may be changed without being asked: only that of a database which is ours alone.

Neighbours: `store.migrate` changes it; `serve` and `demo` ask here before they use a database.
"""

from pathlib import Path

from stockade.core.secrets import hide_password
from stockade.shop.settings import BadSetting, Settings
from stockade.shop.strategy_choice import in_memory
from stockade.store import Database
from stockade.store.migrate import current_revision, migrate, newest_revision
from stockade.store.url import read_url


def make_folder(settings: Settings) -> None:
    """Make the folder of the default SQLite file.

    Raises:
        BadSetting: it cannot be made.
    """
    if not settings.uses_default_database:
        return
    try:
        settings.state_path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        text = f"cannot make the folder {settings.state_path}: {error.strerror}"
        raise BadSetting(f"{settings.named('state_dir')}: {text}") from None


async def require_schema(settings: Settings, database: Database) -> None:
    """Refuse a database whose schema is not current, and a SQLite file that is not there: opening it would make it.

    Raises:
        BadSetting: it is not; the message names the command to run.
    """
    _require_file(settings)
    name = settings.named("database")
    revision, wanted = await current_revision(database), newest_revision()
    if revision != wanted:
        shown = hide_password(settings.database_url)
        found = f"schema {revision}" if revision else "no schema"
        raise BadSetting(f"{name}: {shown} has {found}, not {wanted}; run: stockade migrate --database URL")


def _require_file(settings: Settings) -> None:
    url = read_url(settings.database_url).url
    if url.drivername != "sqlite" or in_memory(settings) or Path(url.database or "").exists():
        return
    to_make = f"stockade migrate{' --database URL' if settings.database else ''}"
    text = f"no such database file: {url.database}; is the path right? To make it run: {to_make}"
    raise BadSetting(f"{settings.named('database')}: {text}")


async def ensure_schema(settings: Settings, database: Database) -> None:
    """Migrate a database that is ours alone (the default file, or one in memory); refuse any other that is not current.

    Several processes may do this at once: migrations take turns, and the later ones find nothing to do.

    Raises:
        BadSetting: the schema is not current; the message names the command to run.
    """
    make_folder(settings)
    own = settings.uses_default_database or in_memory(settings)
    if own and await current_revision(database) != newest_revision():
        await migrate(database)
    await require_schema(settings, database)
